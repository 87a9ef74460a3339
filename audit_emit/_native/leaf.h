/* What the files of the compiled leaf know of each other.
 *
 * It has functions that take values and return values, and decides nothing: what is not as it usually
 * is (a text to look at, a file that has grown, a lock that is held) it leaves, with nothing done, to
 * the Python code, which is the reference and works without it. */
#ifndef AUDIT_EMIT_LEAF_H
#define AUDIT_EMIT_LEAF_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef Py_GIL_DISABLED
#error "the compiled leaf relies on the interpreter's lock; without it, emit in Python"
#endif

#define HASH_SIZE 64
#define DIGEST_SIZE 32

static inline char *put_text(char *at, const char *text, Py_ssize_t size)
{
    memcpy(at, text, (size_t)size);
    return at + size;
}

#define DIGITS 20 /* of the greatest number */
static inline char *put_decimal(char *at, unsigned long long number)
{
    char digits[DIGITS], *first = digits + DIGITS;
    do
        *--first = (char)('0' + number % 10);
    while (number /= 10);
    return put_text(at, first, digits + DIGITS - first);
}

/* The end of a record before its hash: its chain (as `,"chain":"...","seq":`), its number, and the hash
 * of the record before it; its length. */
#define LINK_START ((Py_ssize_t)sizeof ",\"chain\":\"0123456789abcdef\",\"seq\":" - 1)
#define LINK_SIZE (LINK_START + DIGITS + (Py_ssize_t)sizeof ",\"prev_hash\":\"\"" + HASH_SIZE)
static inline Py_ssize_t put_link(char *begin, const char *chain, long long seq, const char *before)
{
    char *at = put_decimal(put_text(begin, chain, LINK_START), (unsigned long long)seq);
    at = put_text(at, ",\"prev_hash\":\"", 14);
    at = put_text(at, before, HASH_SIZE);
    *at++ = '"';
    return at - begin;
}

/* sha256.c */

/* Find out what the processor has for it; before anything is hashed. */
void choose_hash(void);

/* The leaf hash of docs/wire-format.md, section 2: SHA-256(0x00 || body || '}'), as hex. */
void leaf_hash(const char *body, size_t length, char hex[HASH_SIZE]);

/* The same without the instructions that a processor may have for it. */
void leaf_hash_anywhere(const char *body, size_t length, char hex[HASH_SIZE]);

/* The hash of an inner node: SHA-256(0x01 || left || right); `node` may be where `pair` begins. */
void node_hash(const unsigned char pair[2 * DIGEST_SIZE], unsigned char node[DIGEST_SIZE]);

/* append.c, copies.c, linked.c, nodes.c, plain.c: functions of the module */
PyObject *py_append(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *py_copied(PyObject *module, PyObject *args);
PyObject *py_linked(PyObject *module, PyObject *args);
PyObject *py_subtrees(PyObject *module, PyObject *args);
PyObject *py_encoder(PyObject *module, PyObject *args);

#endif
