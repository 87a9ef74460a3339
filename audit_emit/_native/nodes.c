/* The Merkle tree over the hashes of records (RFC 6962, section 2.1): what `_format/merkle_ranges.py`
 * makes of a range of leaves. */
#include "leaf.h"

static bool keep(PyObject *found, Py_ssize_t level, const unsigned char *node)
{
    PyObject *one = Py_BuildValue("(ny#)", level, (const char *)node, (Py_ssize_t)DIGEST_SIZE);
    int failed = !one || PyList_Append(found, one) < 0;
    Py_XDECREF(one);
    return !failed;
}

/* The roots of the complete subtrees over a row of leaves, which is used up: those that begin on the
 * left of it come first, those on the right of it last and in reverse. */
static bool take(unsigned char *row, size_t count, unsigned long long start, PyObject *left,
                 PyObject *right)
{
    for (Py_ssize_t level = 0; count; level++, start >>= 1) {
        if (start & 1) {
            if (!keep(left, level, row))
                return false;
            row += DIGEST_SIZE;
            count--;
            start++;
        }
        if (count & 1 && !keep(right, level, row + --count * DIGEST_SIZE))
            return false;
        count /= 2;
        for (size_t i = 0; i < count; i++)
            node_hash(row + 2 * i * DIGEST_SIZE, row + i * DIGEST_SIZE);
    }
    return true;
}

PyObject *py_subtrees(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long start;
    const char *leaves;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "Ky#:subtrees", &start, &leaves, &size))
        return NULL;
    if (size % DIGEST_SIZE != 0)
        return PyErr_Format(PyExc_ValueError, "a hash has %d bytes", DIGEST_SIZE);
    unsigned char *row = PyMem_Malloc((size_t)size + 1);
    PyObject *left = PyList_New(0), *right = PyList_New(0), *found = NULL;
    if (!row)
        PyErr_NoMemory();
    else if (left && right) {
        memcpy(row, leaves, (size_t)size);
        if (take(row, (size_t)size / DIGEST_SIZE, start, left, right) && PyList_Reverse(right) == 0)
            found = PySequence_InPlaceConcat(left, right);
    }
    PyMem_Free(row);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return found;
}
