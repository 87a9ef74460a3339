/* The thread lock of a sink: `threading.RLock`, as far as a sink uses it. The compiled part takes it
 * and gives it back without a call of a method, which costs as much as a tenth of the hash. */
#include "speedups.h"

static bool is_mine(const Mutex *self)
{
    return self->count && self->owner == PyThread_get_thread_ident();
}

static void taken(Mutex *self)
{
    self->owner = PyThread_get_thread_ident();
    self->count = 1;
}

bool mutex_try(Mutex *self)
{
    if (is_mine(self))
        self->count++;
    else if (PyThread_acquire_lock(self->lock, NOWAIT_LOCK))
        taken(self);
    else
        return false;
    return true;
}

bool mutex_release(Mutex *self)
{
    if (!is_mine(self))
        return false;
    if (--self->count == 0) {
        self->owner = 0;
        PyThread_release_lock(self->lock);
    }
    return true;
}

/* Wait for it, for `seconds` when that is not negative, and let signal handlers run meanwhile.
 * 1: taken, 0: not, -1: a handler raised. */
static int wait_for(Mutex *self, double seconds)
{
    long long deadline = seconds < 0 ? 0 : monotonic_ns() + (long long)(seconds * BILLION);
    for (;;) {
        PY_TIMEOUT_T left = -1;
        if (seconds >= 0) {
            left = (deadline - monotonic_ns()) / 1000;
            left = left < 0 ? 0 : left;
        }
        PyLockStatus status;
        Py_BEGIN_ALLOW_THREADS
        status = PyThread_acquire_lock_timed(self->lock, left, 1);
        Py_END_ALLOW_THREADS
        if (status == PY_LOCK_ACQUIRED) {
            taken(self);
            return 1;
        }
        if (status == PY_LOCK_FAILURE)
            return 0;
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

static PyObject *acquire(PyObject *object, PyObject *args, PyObject *named)
{
    static char *keywords[] = {"blocking", "timeout", NULL};
    int blocking = 1;
    double timeout = -1;
    if (!PyArg_ParseTupleAndKeywords(args, named, "|pd:acquire", keywords, &blocking, &timeout))
        return NULL;
    if (timeout != -1 && (!blocking || !(timeout >= 0))) {
        PyErr_SetString(PyExc_ValueError, "a timeout is not negative, and is for blocking calls");
        return NULL;
    }
    Mutex *self = (Mutex *)object;
    if (mutex_try(self))
        Py_RETURN_TRUE;
    if (!blocking)
        Py_RETURN_FALSE;
    int got = wait_for(self, timeout > 1e6 ? -1 : timeout);
    return got < 0 ? NULL : PyBool_FromLong(got);
}

static PyObject *release(PyObject *object, PyObject *Py_UNUSED(none))
{
    if (!mutex_release((Mutex *)object)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot release a lock that this thread does not hold");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *is_owned(PyObject *object, PyObject *Py_UNUSED(none))
{
    return PyBool_FromLong(is_mine((Mutex *)object));
}

static PyObject *enter(PyObject *object, PyObject *Py_UNUSED(none))
{
    int got = mutex_try((Mutex *)object) ? 1 : wait_for((Mutex *)object, -1);
    return got < 0 ? NULL : PyBool_FromLong(got);
}

static PyObject *leave(PyObject *object, PyObject *Py_UNUSED(args))
{
    return release(object, NULL);
}

static PyObject *make(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(named))
{
    Mutex *self = (Mutex *)type->tp_alloc(type, 0);
    if (self && !(self->lock = PyThread_allocate_lock())) {
        Py_CLEAR(self);
        PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Mutex *self = (Mutex *)object;
    if (self->lock) {
        if (self->count)
            PyThread_release_lock(self->lock);
        PyThread_free_lock(self->lock);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))acquire, METH_VARARGS | METH_KEYWORDS, NULL},
    {"release", release, METH_NOARGS, NULL},
    {"_is_owned", is_owned, METH_NOARGS, NULL},
    {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", leave, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "threading.RLock, as far as a sink uses it."},
    {Py_tp_new, make},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec mutex_spec = {
    .name = "audit_emit._speedups.Mutex",
    .basicsize = sizeof(Mutex),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};
