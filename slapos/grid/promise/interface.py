"""The marker that promise plugins of the field implement."""

from slapos.promises.interface import IPromise

__all__ = ["IPromise"]
