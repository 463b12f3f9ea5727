"""libffi: calls a function whose type it is told when the program runs."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component

PROGRAM = r"""
#include <ffi.h>
#include <stdio.h>

static double scaled(int count, double by) { return count * by; }
static void doubled(ffi_cif *cif, void *result, void **arguments, void *data)
{ *(ffi_arg *) result = *(int *) data * *(int *) arguments[0]; }

int main(void)
{
    ffi_cif call, closure_call;
    ffi_type *types[] = {&ffi_type_sint, &ffi_type_double};
    int count = 4, two = 2;
    double by = 2.5, result = 0;
    void *values[] = {&count, &by}, *code;
    if (ffi_prep_cif(&call, FFI_DEFAULT_ABI, 2, &ffi_type_double, types) != FFI_OK) return 1;
    ffi_call(&call, FFI_FN(scaled), &result, values);
    ffi_closure *closure = ffi_closure_alloc(sizeof *closure, &code);
    if (ffi_prep_cif(&closure_call, FFI_DEFAULT_ABI, 1, &ffi_type_sint, types) != FFI_OK) return 2;
    if (ffi_prep_closure_loc(closure, &closure_call, doubled, &two, code) != FFI_OK) return 3;
    printf("%g %d\n", result, ((int (*)(int)) code)(21));
    return 0;
}
"""


def test_a_call_and_a_closure(component: Component, tmp_path: Path) -> None:
    assert component.call(component.compile(tmp_path / "calls", PROGRAM, "ffi")).text == "10 42\n"
