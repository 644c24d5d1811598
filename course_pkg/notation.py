"""The letters of the course, their translation to each paper's, and the base of every record.

One dimension has one name everywhere in the package:

====== ============================ ===================== ==================
here   meaning                      Bahdanau et al. 2015  Xu et al. 2015
====== ============================ ===================== ==================
``B``  batch                        —                     —
``S``  source positions             ``T_x``               ``L``
``T``  target steps                 ``T_y``               ``C``
``E``  embedding                    ``m``                 ``m``
``H``  recurrent state              ``n``                 ``n``
``D``  annotation                   ``2n``                ``D``
``Q``  query                        ``n``                 ``n``
``A``  alignment (hidden) layer     ``n'``                —
``V``  vocabulary                   ``K_x``, ``K_y``      ``K``
``K``  beam                         —                     —
====== ============================ ===================== ==================

The notation page of the book lists every symbol beside the chapter that introduces it.
"""

import dataclasses
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["CourseError", "Record"]

R = TypeVar("R", bound="Record")  # typing.Self, in the form that the shape checks of the tests accept


class CourseError(ValueError):
    """Bad input, told in one line that says what is wrong and what to do.

    The command line prints the line and ends with exit code 2.
    """


class Record:
    """Base of the frozen dataclasses that parts hand to each other.

    Every tensor field has the batch as its first axis; fields may be ``None`` or records themselves.
    """

    def _map(self: R, function: Any) -> R:
        changed = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changed[field.name] = function(value)
            elif isinstance(value, Record):
                changed[field.name] = value._map(function)
        return dataclasses.replace(self, **changed)  # type: ignore[type-var]

    def take(self: R, rows: Tensor) -> R:
        """The record of the given batch rows, in the given order; a row may be taken more than once.

        ``rows`` is an integer tensor of shape ``(N,)``; every tensor field becomes ``(N, …)``.
        """
        return self._map(lambda tensor: tensor.index_select(0, rows))

    def to(self: R, device: torch.device | str, non_blocking: bool = False) -> R:
        """The same record with every tensor on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))
