"""The parts of a model, built from their specs: one SpecError that names the part, before memory is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from vlmkit.api.bounds import MOST_PARAMETERS
from vlmkit.api.modules import Aligner, Teacher
from vlmkit.api.teacher import TeacherSpec
from vlmkit.api.tensors import VideoBatch
from vlmkit.errors import SpecError, UserError
from vlmkit.guard import error_text, is_out_of_memory
from vlmkit.spec.experiment import ModelSpec

__all__ = ["build_aligner", "build_meta_teacher", "building", "check_room", "check_size"]


def build_aligner(spec: ModelSpec) -> Aligner:
    """Return a fresh aligner. A SpecError where its options do not fit the LLM: those that fit each other need not."""
    with building("model.aligner"):
        aligner = spec.aligner.build(spec.backbone.width)
    check_size(aligner, "model.aligner")
    return aligner


def build_meta_teacher(spec: TeacherSpec, frames: int) -> Teacher:
    """Return a teacher on the meta device, whose features of one video have the shape that `grid` and `width` say."""
    part, size = "training.distillation.teacher", spec.input.size
    with building(part), torch.device("meta"):
        teacher = spec.build()
    check_size(teacher, part)
    teacher(VideoBatch.full(torch.empty(1, frames, 3, size, size, device="meta")))
    return teacher


@contextmanager
def building(part: str) -> Iterator[None]:
    """Turn what torch or a component raises while a part is composed into a SpecError that names the part.

    Options that fit each other need not fit the rest, and sizes can be beyond what torch counts with.
    """
    try:
        yield
    except UserError:
        raise
    except ValueError as error:
        raise SpecError(f"{part}: {error}") from error
    except ArithmeticError as error:
        raise SpecError(f"{part}: these numbers cannot be worked with: {error_text(error)}") from error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise SpecError(f"{part}: no machine has room for these sizes: {error_text(error)}") from error


def check_size(module: nn.Module, part: str) -> None:
    """Raise a SpecError where a part has more parameters than any model."""
    parameters = sum(value.numel() for value in module.parameters())
    if parameters > MOST_PARAMETERS:
        raise SpecError(
            f"{part}: these options make {parameters:,} parameters, expected at most {MOST_PARAMETERS:,}; make its "
            "widths smaller, or its layers fewer"
        )


def check_room(module: nn.Module, part: str) -> None:
    """Raise a SpecError where a part, here on the meta device, does not fit into this machine's memory."""
    needed = sum(value.nbytes for value in (*module.parameters(), *module.buffers()))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise SpecError(
            f"{part}: its weights take {needed / 2**30:,.1f} GiB, this machine has {there / 2**30:,.1f} GiB of memory; "
            "make its widths smaller, or its layers fewer"
        )
