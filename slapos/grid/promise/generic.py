"""The names that promise plugins of the field import from here."""

from slapos.promises.generic import (
    PROMISE_CACHE_FOLDER_NAME,
    PROMISE_LOG_FOLDER_NAME,
    PROMISE_RESULT_FOLDER_NAME,
    AnomalyResult,
    GenericPromise,
    TestResult,
)

__all__ = [
    "PROMISE_CACHE_FOLDER_NAME",
    "PROMISE_LOG_FOLDER_NAME",
    "PROMISE_RESULT_FOLDER_NAME",
    "AnomalyResult",
    "GenericPromise",
    "TestResult",
]
