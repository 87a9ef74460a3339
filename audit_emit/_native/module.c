/* The module `audit_emit._speedups`. */
#include "leaf.h"

static PyObject *py_leaf_hash(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *body;
    char hex[HASH_SIZE];
    Py_ssize_t size;
    int anywhere = 0;
    if (!PyArg_ParseTuple(args, "y#|p:leaf_hash", &body, &size, &anywhere))
        return NULL;
    leaf_hash(body, (size_t)size, hex, anywhere);
    return PyUnicode_FromStringAndSize(hex, HASH_SIZE);
}

static PyMethodDef methods[] = {
    {"append", (PyCFunction)(void (*)(void))py_append, METH_FASTCALL,
     "append(kept, place, part, closing, end, mirror, checked, /)\n--\n\n"
     "Write one record: its receipt, its line, the size of the file, its time, when the path and the "
     "mirror were looked at, and whether it is shown; the same in `kept`. Else None."},
    {"copied", py_copied, METH_VARARGS,
     "copied(block, numbers, ids, hashes, ts, types, workspaces, users, correlations, /)\n--\n\n"
     "Whether each line of a block is as it usually is, and says what the columns beside it say."},
    {"encoder", py_encoder, METH_VARARGS,
     "encoder(*tables, /)\n--\n\n`encode_plain` for the tables of some rules (`_redaction/table.py`)."},
    {"leaf_hash", py_leaf_hash, METH_VARARGS,
     "leaf_hash(body, anywhere=False, /)\n--\n\nThe leaf hash of a body, without its closing brace, as "
     "hex; `anywhere`: without a processor's own instructions for it."},
    {"linked", py_linked, METH_VARARGS,
     "linked(block, chain, seq, prev_hash, place, alike, mark, /)\n--\n\nIf each line of a block is the "
     "record that follows the one before, and has `alike` at `place`: the hashes of all; the lowest and the "
     "highest of what is before `place`; whether one has `mark` behind `alike`. Else None."},
    {"parents", py_parents, METH_VARARGS,
     "parents(row, /)\n--\n\nThe inner nodes of a tree over a row of pairs of hashes, 32 bytes each."},
    {NULL, NULL, 0, NULL},
};

/* What it is made of (`_runtime/native_sources.py`), from who compiles it. */
#ifndef SOURCES
#define SOURCES ""
#endif

static int set_up(PyObject *module)
{
    choose_hash();
    return PyModule_AddStringConstant(module, "SOURCES", SOURCES);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)set_up}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "audit_emit._speedups",
    .m_doc = "The compiled leaf of emit; what it does, Python can do without it.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__speedups(void)
{
    return PyModuleDef_Init(&definition);
}
