"""The upload of a folder to the Hugging Face Hub, by huggingface_hub: its endpoint, its token, its messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, ModelCard, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from vlmkit.errors import UserError, shortened
from vlmkit.publish.card_data import check_hub_id

__all__ = ["check_upload", "push"]


def check_upload(repository: str) -> None:
    """Raise a UserError where the id is none, or this machine holds no token: before anything is written."""
    check_hub_id(repository, "--push")
    if get_token() is None:
        raise UserError(
            "--push: expected a token of the Hub with the right to write, found none; `hf auth login` keeps one, or "
            "set HF_TOKEN"
        )


def push(folder: Path, repository: str, *, private: bool = False) -> str:
    """Upload what was exported, make the repository where there is none, and return its address.

    The Hub checks the model card before anything is sent. Files there that the folder does not have stay.

    Raises:
        UserError: the Hub refuses, or cannot be reached; or a repository that should be private is there, and public.
    """
    check_upload(repository)
    api = HfApi(library_name="vlmkit")
    with _asking(repository):
        try:
            ModelCard.load(folder / "README.md").validate()
        except ValueError as error:
            raise UserError(
                f"{folder / 'README.md'}: the Hub refuses the model card: {shortened(f'{error}', 500)}"
            ) from None
        _check_visibility(api, repository, private=private)
        address = api.create_repo(
            repository, private=private or None, exist_ok=True
        )  # None: as the organization has it
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Export of vlmkit")
    return str(address)


def _check_visibility(api: HfApi, repository: str, *, private: bool) -> None:
    if not private:
        return
    try:
        found = api.model_info(repository)
    except RepositoryNotFoundError:
        return
    if not found.private:
        raise UserError(
            f"--private: the repository {repository} is there, and public; make it private in its settings there, or "
            "name another one"
        )


@contextmanager
def _asking(repository: str) -> Iterator[None]:
    """A UserError for what the Hub answers, or where it does not, without the token."""
    try:
        yield
    except UserError:
        raise
    except OfflineModeIsEnabled:
        raise UserError("--push: expected to reach the Hub, but HF_HUB_OFFLINE is set; unset it") from None
    except HfHubHTTPError as error:
        said = _without_token(error.server_message or str(error))
        status = error.response.status_code if error.response is not None else "no status"
        raise UserError(
            f"--push {repository}: the Hub refuses ({status}): {said}; correct the name, or give the token the right "
            "to write"
        ) from None
    except Exception as error:  # of whichever library sends it
        raise UserError(
            f"--push {repository}: the Hub cannot be reached: {_without_token(f'{error}')}; the folder is written: "
            "push it again with --overwrite, or with `hf upload`"
        ) from None


def _without_token(message: str) -> str:
    token = get_token()
    return shortened(" ".join((message.replace(token, "…") if token else message).split()), 500)
