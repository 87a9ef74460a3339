/* Many records at once: does each have the hash that it states, and link to the one before? What the
 * verifier, the signer and the archiver take almost all of a log for (`_format/block.py`). */
#include "leaf.h"

#define HASH_MEMBER ((Py_ssize_t)(sizeof ",\"hash\":\"\"}" - 1 + HASH_SIZE))

/* The lines that are left of a block, what they have to follow, and what was found so far. */
typedef struct {
    const char *at, *stop, *chain, *prev;
    unsigned long long seq;
    const char *alike, *mark; /* what each line has at a place, and what it may have behind it */
    Py_ssize_t place, alike_size, mark_size;
    const char *low, *high; /* the first and the last line in the order of what is before the place */
    bool marked;
} Rows;

/* The size of the body of a line without its newline, if it ends as the next record does, whatever its
 * hash, and has what each has; else -1. */
static Py_ssize_t body_of(Rows *rows, const char *line, Py_ssize_t size)
{
    char end[LINK_SIZE];
    if (rows->seq == 0 || rows->seq > 9999999999999999999ULL)
        return -1;
    Py_ssize_t length = put_link(end, rows->chain, (long long)rows->seq++, rows->prev);
    Py_ssize_t body = size - HASH_MEMBER;
    if (body < length || size < rows->place + rows->alike_size + rows->mark_size
        || memcmp(line + body - length, end, (size_t)length) != 0
        || memcmp(line + body, ",\"hash\":\"", 9) != 0 || memcmp(line + size - 2, "\"}", 2) != 0
        || memcmp(line + rows->place, rows->alike, (size_t)rows->alike_size) != 0)
        return -1;
    rows->prev = line + body + 9;
    const char *behind = line + rows->place + rows->alike_size;
    rows->marked |= memcmp(behind, rows->mark, (size_t)rows->mark_size) == 0;
    rows->low = memcmp(line, rows->low, (size_t)rows->place) < 0 ? line : rows->low;
    rows->high = memcmp(line, rows->high, (size_t)rows->place) > 0 ? line : rows->high;
    return body;
}

/* The hashes of all lines, if each is the next record and states its own; how many, or -1. */
static Py_ssize_t read_all(Rows *rows, unsigned char *hashes)
{
    Py_ssize_t found = 0;
    while (rows->at < rows->stop) {
        const char *bodies[LANES];
        size_t lengths[LANES];
        unsigned char *here = hashes + found * DIGEST_SIZE;
        int count = 0;
        for (; count < LANES && rows->at < rows->stop; count++) {
            const char *newline = memchr(rows->at, '\n', (size_t)(rows->stop - rows->at));
            Py_ssize_t body = newline ? body_of(rows, rows->at, newline - rows->at) : -1;
            if (body < 0)
                return -1;
            bodies[count] = rows->at;
            lengths[count] = (size_t)body;
            rows->at = newline + 1;
        }
        leaf_hashes(count, bodies, lengths, here, false);
        for (int i = 0; i < count; i++) {
            char hex[HASH_SIZE];
            put_hex(hex, here + i * DIGEST_SIZE, DIGEST_SIZE);
            if (memcmp(bodies[i] + lengths[i] + 9, hex, HASH_SIZE) != 0)
                return -1;
        }
        found += count;
    }
    return found;
}

PyObject *py_linked(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *chain;
    Py_ssize_t size, chain_size, before_size, count;
    char link[LINK_START];
    Rows rows = {0};
    if (!PyArg_ParseTuple(args, "y#s#Ks#ny#y#:linked", &rows.at, &size, &chain, &chain_size, &rows.seq,
                          &rows.prev, &before_size, &rows.place, &rows.alike, &rows.alike_size,
                          &rows.mark, &rows.mark_size))
        return NULL;
    if (chain_size != 16 || before_size != HASH_SIZE || rows.place < 0)
        return PyErr_Format(PyExc_ValueError, "a chain has 16 digits, a hash has 64, and no place is below 0");
    put_text(put_text(put_text(link, ",\"chain\":\"", 10), chain, chain_size), "\",\"seq\":", 8);
    rows.chain = link;
    rows.low = rows.high = rows.at;
    rows.stop = rows.at + size;
    unsigned char *hashes = PyMem_Malloc((size_t)(size / HASH_MEMBER + 1) * DIGEST_SIZE);
    if (!hashes)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    count = rows.place < size ? read_all(&rows, hashes) : -1;
    Py_END_ALLOW_THREADS
    PyObject *found = count < 0 ? Py_NewRef(Py_None)
        : Py_BuildValue("(y#y#y#O)", hashes, count * DIGEST_SIZE, rows.low, rows.place, rows.high,
                        rows.place, rows.marked ? Py_True : Py_False);
    PyMem_Free(hashes);
    return found;
}

/* The Merkle tree over such hashes (RFC 6962, section 2.1), one row at a time (`_format/merkle_ranges.py`). */
PyObject *py_parents(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *row;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y#:parents", &row, &size))
        return NULL;
    Py_ssize_t count = size / (2 * DIGEST_SIZE);
    PyObject *found = PyBytes_FromStringAndSize(NULL, count * DIGEST_SIZE);
    if (found)
        node_hashes((const unsigned char *)row, (size_t)count, (unsigned char *)PyBytes_AS_STRING(found));
    return found;
}
