/* The module `audit_emit._speedups`: its types, and for the tests what can be told by itself. */
#include "speedups.h"

static PyObject *leaf_hash_of(PyObject *body, void (*function)(const char *, size_t, char *))
{
    char *data, hex[HASH_SIZE];
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(body, &data, &size) < 0)
        return NULL;
    function(data, (size_t)size, hex);
    return PyUnicode_FromStringAndSize(hex, HASH_SIZE);
}

static PyObject *py_leaf_hash(PyObject *Py_UNUSED(module), PyObject *body)
{
    return leaf_hash_of(body, leaf_hash);
}

static PyObject *py_leaf_hash_anywhere(PyObject *Py_UNUSED(module), PyObject *body)
{
    return leaf_hash_of(body, leaf_hash_anywhere);
}

static PyObject *py_begin_second(PyObject *Py_UNUSED(module), PyObject *number)
{
    Second made;
    long long second = PyLong_AsLongLong(number);
    if (second < 0 || second > INT64_MAX / BILLION)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "no second: %R", number);
    begin_second(&made, second);
    return PyUnicode_FromStringAndSize(made.head, HEAD_SIZE);
}

static PyMethodDef methods[] = {
    {"begin_second", py_begin_second, METH_O,
     "begin_second(second, /)\n--\n\nThe beginning of a record of some second since 1970."},
    {"leaf_hash", py_leaf_hash, METH_O,
     "leaf_hash(body, /)\n--\n\nThe leaf hash of a body, without its closing brace, as hex."},
    {"leaf_hash_anywhere", py_leaf_hash_anywhere, METH_O,
     "leaf_hash_anywhere(body, /)\n--\n\nThe same without a processor's own instructions for it."},
    {"linked", py_linked, METH_VARARGS,
     "linked(block, chain, seq, prev_hash, /)\n--\n\nThe hashes of a block's lines if each is the "
     "record that follows the one before; else None."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, type) < 0)
        Py_CLEAR(type);
    return type;
}

static int execute(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);
    choose_hash();
    return (state->clock = add_type(module, &clock_state_spec))
            && (state->sink = add_type(module, &sink_state_spec))
            && (state->segment = add_type(module, &segment_state_spec))
            && (state->descriptor = add_type(module, &descriptor_state_spec))
            && (state->emitter = add_type(module, &emitter_state_spec))
            && (state->mutex = add_type(module, &mutex_spec))
            && (state->quick = add_type(module, &quick_spec))
            && (state->table = add_type(module, &table_spec))
        ? 0
        : -1;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    ModuleState *state = PyModule_GetState(module);
    Py_VISIT(state->clock);
    Py_VISIT(state->sink);
    Py_VISIT(state->segment);
    Py_VISIT(state->descriptor);
    Py_VISIT(state->emitter);
    Py_VISIT(state->mutex);
    Py_VISIT(state->quick);
    Py_VISIT(state->table);
    return 0;
}

static int clear(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);
    Py_CLEAR(state->clock);
    Py_CLEAR(state->sink);
    Py_CLEAR(state->segment);
    Py_CLEAR(state->descriptor);
    Py_CLEAR(state->emitter);
    Py_CLEAR(state->mutex);
    Py_CLEAR(state->quick);
    Py_CLEAR(state->table);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "audit_emit._speedups",
    .m_doc = "The compiled part of the emit path; what it does, Python can do without it.",
    .m_size = sizeof(ModuleState),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__speedups(void)
{
    return PyModuleDef_Init(&definition);
}
