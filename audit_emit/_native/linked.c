/* Many records at once: does each have the hash that it states, and link to the one before? What the
 * verifier and the signer take almost all of a log for (`_format/block.py`). */
#include "leaf.h"

#include <string.h>

#define CHAIN_SIZE 16
#define SEQ_SIZE 19 /* digits at most: of 9999999999999999999 */
#define HASH_MEMBER ((Py_ssize_t)(sizeof ",\"hash\":\"\"}" - 1 + HASH_SIZE))
#define END_SIZE (sizeof ",\"chain\":\"\",\"seq\":,\"prev_hash\":\"\"" + CHAIN_SIZE + SEQ_SIZE + HASH_SIZE)

static char *put(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

#define PUT(at, literal) put(at, literal, sizeof literal - 1)

/* The end of a line before its hash, which it is compared with; its length. */
static size_t expected_end(char *end, const char *chain, unsigned long long seq, const char *prev)
{
    char digits[SEQ_SIZE + 1], *first = digits + sizeof digits;
    do
        *--first = (char)('0' + seq % 10);
    while (seq /= 10);
    char *at = PUT(end, ",\"chain\":\"");
    at = put(at, chain, CHAIN_SIZE);
    at = PUT(at, "\",\"seq\":");
    at = put(at, first, (size_t)(digits + sizeof digits - first));
    at = PUT(at, ",\"prev_hash\":\"");
    at = put(at, prev, HASH_SIZE);
    return (size_t)(PUT(at, "\"") - end);
}

/* Whether a line without its newline is the record with this number; its hash becomes `prev`. */
static bool follows(const char *line, Py_ssize_t size, const char *chain, unsigned long long seq,
                    char prev[HASH_SIZE])
{
    char end[END_SIZE], hex[HASH_SIZE];
    size_t length = expected_end(end, chain, seq, prev);
    Py_ssize_t body = size - HASH_MEMBER;
    if (body < (Py_ssize_t)length || memcmp(line + body - length, end, length) != 0)
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

static PyObject *hashes_of(const char *at, const char *stop, const char *chain,
                           unsigned long long seq, char prev[HASH_SIZE])
{
    PyObject *found = PyList_New(0);
    while (found && at < stop) {
        const char *newline = memchr(at, '\n', (size_t)(stop - at));
        if (!newline || seq == 0 || seq > 9999999999999999999ULL
            || !follows(at, newline - at, chain, seq, prev)) {
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
    char prev[HASH_SIZE];
    if (!PyArg_ParseTuple(args, "y#s#Ks#:linked", &block, &size, &chain, &chain_size, &seq, &before,
                          &before_size))
        return NULL;
    if (chain_size != CHAIN_SIZE || before_size != HASH_SIZE)
        return PyErr_Format(PyExc_ValueError, "a chain has 16 digits, and a hash has 64");
    memcpy(prev, before, HASH_SIZE);
    return hashes_of(block, block + size, chain, seq, prev);
}
