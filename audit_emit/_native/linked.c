/* Many records at once: does each have the hash that it states, and link to the one before? What the
 * verifier and the signer take almost all of a log for (`_format/block.py`). */
#include "leaf.h"

#define HASH_MEMBER ((Py_ssize_t)(sizeof ",\"hash\":\"\"}" - 1 + HASH_SIZE))

/* Whether a line without its newline is the record with this number; its hash becomes `prev`. */
static bool follows(const char *line, Py_ssize_t size, const char *link, unsigned long long seq,
                    char prev[HASH_SIZE])
{
    char end[LINK_SIZE], hex[HASH_SIZE];
    Py_ssize_t length = put_link(end, link, (long long)seq, prev), body = size - HASH_MEMBER;
    if (body < length || memcmp(line + body - length, end, (size_t)length) != 0)
        return false;
    const char *member = line + body;
    if (memcmp(member, ",\"hash\":\"", 9) != 0 || memcmp(line + size - 2, "\"}", 2) != 0)
        return false;
    leaf_hash(line, (size_t)body, hex);
    if (memcmp(member + 9, hex, HASH_SIZE) != 0)
        return false;
    memcpy(prev, hex, HASH_SIZE);
    return true;
}

static PyObject *hashes_of(const char *at, const char *stop, const char *link,
                           unsigned long long seq, char prev[HASH_SIZE])
{
    PyObject *found = PyList_New(0);
    while (found && at < stop) {
        const char *newline = memchr(at, '\n', (size_t)(stop - at));
        if (!newline || seq == 0 || seq > 9999999999999999999ULL
            || !follows(at, newline - at, link, seq, prev)) {
            Py_DECREF(found);
            Py_RETURN_NONE;
        }
        PyObject *hash = PyUnicode_FromStringAndSize(prev, HASH_SIZE);
        if (!hash || PyList_Append(found, hash) < 0)
            Py_CLEAR(found);
        Py_XDECREF(hash);
        at = newline + 1;
        seq++;
    }
    return found;
}

PyObject *py_linked(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *block, *chain, *before;
    Py_ssize_t size, chain_size, before_size;
    unsigned long long seq;
    char prev[HASH_SIZE], link[LINK_START];
    if (!PyArg_ParseTuple(args, "y#s#Ks#:linked", &block, &size, &chain, &chain_size, &seq, &before,
                          &before_size))
        return NULL;
    if (chain_size != 16 || before_size != HASH_SIZE)
        return PyErr_Format(PyExc_ValueError, "a chain has 16 digits, and a hash has 64");
    memcpy(prev, before, HASH_SIZE);
    put_text(put_text(put_text(link, ",\"chain\":\"", 10), chain, chain_size), "\",\"seq\":", 8);
    return hashes_of(block, block + size, link, seq, prev);
}
