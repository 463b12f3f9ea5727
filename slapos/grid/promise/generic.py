"""The names that promise plugins of the field import from here."""

from slapos.promises.generic import (
    ERROR_LEVEL,
    PROMISE_CACHE_FOLDER_NAME,
    PROMISE_LOG_FOLDER_NAME,
    PROMISE_PARAMETER_NAME,
    PROMISE_RESULT_FOLDER_NAME,
    PROMISE_STATE_FOLDER_NAME,
    AnomalyResult,
    BaseResult,
    GenericPromise,
    TestResult,
)

__all__ = [
    "ERROR_LEVEL",
    "PROMISE_CACHE_FOLDER_NAME",
    "PROMISE_LOG_FOLDER_NAME",
    "PROMISE_PARAMETER_NAME",
    "PROMISE_RESULT_FOLDER_NAME",
    "PROMISE_STATE_FOLDER_NAME",
    "AnomalyResult",
    "BaseResult",
    "GenericPromise",
    "TestResult",
]
