"""Samples that cannot be read: skipped, written down with the reason, counted, and limited."""

from __future__ import annotations

from pathlib import Path

from vlmkit.errors import DataError
from vlmkit.files import sync_to_disk
from vlmkit.json_files import BadSample, json_line, read_json_lines

__all__ = ["BadSamples"]

_ENOUGH = 100
_SHOWN = 3


class BadSamples:
    """Counts the samples of one place (a training stage, a benchmark) and appends the bad ones to a JSON-lines file.

    A line holds `id`, `video`, `reason` and `where`. A sample counts once however often it is met, also over a
    continued run: what the file already says of this place is read back.

    The run stops when the bad samples exceed `max_fraction` of the samples, both counted since this object was made
    (the file does not say how many good ones an earlier process met). Fewer than 100 samples count as 100 so that an
    early bad one does not end a long run; `finish` then compares with the true number. With `max_fraction` 0 the first
    bad sample stops the run.
    """

    def __init__(self, path: Path, max_fraction: float, where: str, remedy: str = "", writes: bool = True) -> None:
        """Read back what the file says of this place.

        Args:
            path: the file; it need not exist.
            max_fraction: the largest fraction of unreadable samples, 0 to 1.
            where: the place.
            remedy: more that has to be done once the files are repaired, for the message.
            writes: False where another process, which meets the same samples, writes the file.
        """
        self.path, self.max_fraction, self.where = path, max_fraction, where
        self._writes, self._remedy = writes, remedy
        lines = read_json_lines(path, BadSample, mend=writes)
        self._bad = {line.id: line for line in lines if line.where == where}
        self._seen: set[str] = set()
        self._met: set[str] = set()

    @property
    def num_bad(self) -> int:
        """Number of different samples that could not be read, those of an earlier process included."""
        return len(self._bad)

    @property
    def num_seen(self) -> int:
        """Number of different samples that this process met, bad ones included."""
        return len(self._seen)

    def __contains__(self, sample: str) -> bool:
        """Tell whether the sample of this id is known to be bad."""
        return sample in self._bad

    def add_readable(self, sample: str) -> None:
        """Count a sample that could be read."""
        self._seen.add(sample)

    def add_earlier(self, sample: str) -> None:
        """Count a sample that an earlier process met at this place: bad where the file says so."""
        self._seen.add(sample)
        if sample in self._bad:
            self._met.add(sample)

    def add_unreadable(self, sample: str, video: str | None, reason: str) -> None:
        """Count and write down a sample that could not be read. A `DataError` once there are too many of them."""
        self._seen.add(sample)
        self._met.add(sample)
        if sample not in self._bad:
            self._bad[sample] = BadSample(id=sample, video=video, reason=reason, where=self.where)
            if self._writes:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json_line(self._bad[sample].model_dump()))
        self._check(max(self.num_seen, _ENOUGH))

    def flush(self) -> None:
        """Wait until the file is on the disk."""
        if self.path.is_file():
            sync_to_disk(self.path)

    def finish(self) -> None:
        """Compare with the true number of samples, all of which were met. A `DataError` where too many were bad."""
        self._check(self.num_seen)

    def _check(self, among: int) -> None:
        if len(self._met) <= self.max_fraction * among:
            return
        met = [bad for name, bad in self._bad.items() if name in self._met]
        first = ""
        for bad in met[:_SHOWN]:
            video = "" if str(bad.video) in bad.reason else f" ({bad.video})"
            first += f"  {bad.id}{video}: {bad.reason}\n"
        raise DataError(
            f"{self.where}: {len(met)} of {self.num_seen} samples could not be read, more than data.max_bad_fraction = "
            f"{self.max_fraction:g} allows; the first:\n{first}all of them: {self.path}; repair or remove these files"
            f"{self._remedy}, or raise data.max_bad_fraction"
        )
