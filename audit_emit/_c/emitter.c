/* `Emitter.emit`: the quick way where it is open, else `Emitter._record`, which is in Python. */
#include "speedups.h"

#define ARGUMENTS 3

static const char *const NAMES[ARGUMENTS] = {"ctx", "event_type", "fields"};

/* Sort the arguments of `emit(ctx, event_type, fields=None)` into their places. */
static bool take_arguments(PyObject *const *given, Py_ssize_t count, PyObject *names,
                           PyObject *args[ARGUMENTS])
{
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    bool right = count <= ARGUMENTS;
    for (Py_ssize_t i = 0; right && i < count; i++)
        args[i] = given[i];
    for (Py_ssize_t i = 0; right && i < named; i++) {
        int at = 0;
        while (at < ARGUMENTS
               && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), NAMES[at]))
            at++;
        right = at < ARGUMENTS && !args[at];
        if (right)
            args[at] = given[count + i];
    }
    if (!args[2])
        args[2] = Py_None;
    if (!right || !args[0] || !args[1])
        PyErr_SetString(PyExc_TypeError, "emit() takes ctx, event_type and fields=None");
    return right && args[0] && args[1];
}

/* No frame or no memory for a call. */
static bool no_room(void)
{
    return PyErr_ExceptionMatches(PyExc_RecursionError) || PyErr_ExceptionMatches(PyExc_MemoryError);
}

/* Forget an exception of those two. Whether there is no other one. */
static bool forget_no_room(EmitterState *self)
{
    if (!no_room())
        return false;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *is_interrupt = PyObject_GetAttrString((PyObject *)self, "_is_interrupt");
    PyErr_Restore(type, value, traceback);
    bool forgotten = forget(is_interrupt);
    Py_XDECREF(is_interrupt);
    return forgotten;
}

/* At the recursion limit no Python function can be called, but this much works. Without memory a
 * number has to do. */
static PyObject *leave_to_the_next(EmitterState *self, PyObject *type, PyObject *why)
{
    PyObject *lossy = PyObject_GetAttrString((PyObject *)self, "lossy");
    PyObject *event = Py_BuildValue("((OO))", type, why);
    PyObject *added = lossy && event ? PyNumber_InPlaceAdd(lossy, event) : NULL;
    Py_XDECREF(lossy);
    Py_XDECREF(event);
    if (!added) {
        PyErr_Clear();
        self->unmade++;
    }
    Py_XDECREF(added);
    self->pending = 1;
    return same(Py_None);
}

static PyObject *in_python(EmitterState *self, PyObject *const args[ARGUMENTS])
{
    PyObject *record = PyObject_GetAttrString((PyObject *)self, "_record");
    PyObject *receipt = record ? PyObject_Vectorcall(record, args, ARGUMENTS, NULL) : NULL;
    Py_XDECREF(record);
    if (receipt)
        return receipt;
    PyObject *why = PyErr_ExceptionMatches(PyExc_MemoryError) ? PyExc_MemoryError
                                                              : PyExc_RecursionError;
    return forget_no_room(self) ? leave_to_the_next(self, args[1], why) : NULL;
}

/* Let the next emit show a line, as it does what the log says about itself. */
static void show_with_the_next(EmitterState *self, PyObject *line)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *file = line ? PyObject_GetAttrString((PyObject *)self, "file") : NULL;
    PyObject *segment = file ? PyObject_GetAttrString(file, "segment") : NULL;
    PyObject *unshown = segment ? PyObject_GetAttrString(segment, "unshown") : NULL;
    if (!unshown || !PyList_CheckExact(unshown) || PyList_Append(unshown, line) < 0)
        self->unshown++;
    self->pending = 1;
    Py_XDECREF(file);
    Py_XDECREF(segment);
    Py_XDECREF(unshown);
    PyErr_Restore(type, value, traceback);
}

/* Show a line that is in the file. */
static PyObject *show_in_python(EmitterState *self, PyObject *line, PyObject *receipt)
{
    PyObject *shown = PyObject_CallMethod((PyObject *)self, "_show_rest", "OO", line, receipt);
    if (shown || !forget_no_room(self))
        return shown;
    show_with_the_next(self, line);
    return same(receipt);
}

static PyObject *emit(PyObject *object, PyTypeObject *defining, PyObject *const *given,
                      Py_ssize_t count, PyObject *names)
{
    EmitterState *self = (EmitterState *)object;
    PyObject *args[ARGUMENTS] = {NULL, NULL, NULL};
    if (!take_arguments(given, count, names, args))
        return NULL;
    PyObject *quick = self->quick;
    if (!quick || quick == Py_None || self->pending || self->file_fault != Py_None)
        return in_python(self, args);
    const ModuleState *state = PyType_GetModuleState(defining);
    Py_INCREF(quick);
    Unshown unshown = {NULL, false};
    PyObject *done = Py_TYPE(quick) == state->quick ? quick_emit(quick, args, &unshown)
                                                    : PyObject_Vectorcall(quick, args, ARGUMENTS, NULL);
    Py_DECREF(quick);
    if (unshown.line || unshown.forgotten)
        show_with_the_next(self, unshown.line);
    Py_XDECREF(unshown.line);
    if (!done || (done != Py_None && !PyTuple_CheckExact(done)))
        return done;
    PyObject *receipt;
    if (done == Py_None)
        receipt = in_python(self, args);
    else if (PyTuple_GET_SIZE(done) == 2)
        receipt = show_in_python(self, PyTuple_GET_ITEM(done, 0), PyTuple_GET_ITEM(done, 1));
    else
        receipt = same(Py_None);
    Py_DECREF(done);
    return receipt;
}

PyDoc_STRVAR(
    emit_doc,
    "emit($self, ctx, event_type, fields=None)\n--\n\n"
    "Record one event. Never raises an ``Exception``, never waits longer than 50 ms.\n\n"
    "Args:\n"
    "    ctx: ``None`` (the bound context), an ``AuditContext``, a ``contextvars.Context`` or a\n"
    "        mapping of its members; anything else means the bound context.\n"
    "    event_type: such as ``secret.set``; what is not well-formed is recorded as\n"
    "        ``audit.invalid_event_type``.\n"
    "    fields: the event's own payload, of any kind; secrets are held back.\n\n"
    "Returns:\n"
    "    The receipt when the record is in the file, ``None`` when it is not, or not yet.");

PyMethodDef emitter_state_methods[] = {
    {"emit", (PyCFunction)(void (*)(void))emit, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, emit_doc},
    {NULL, NULL, 0, NULL},
};
