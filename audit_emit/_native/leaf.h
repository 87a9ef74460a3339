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

/* Bytes as hex digits. */
static inline void put_hex(char *at, const unsigned char *bytes, size_t size)
{
    for (const unsigned char *stop = bytes + size; bytes < stop; bytes++) {
        *at++ = "0123456789abcdef"[*bytes >> 4];
        *at++ = "0123456789abcdef"[*bytes & 15];
    }
}

/* sha256.c */

/* Find out what the processor has for it; before anything is hashed. */
void choose_hash(void);

/* The leaf hashes of docs/wire-format.md, section 2, SHA-256(0x00 || body || '}'), of up to LANES bodies,
 * 32 bytes each; `anywhere`: without the instructions that a processor may have for it. */
#define LANES 2
void leaf_hashes(int count, const char *const bodies[], const size_t lengths[], unsigned char *digests,
                 bool anywhere);

static inline void leaf_hash(const char *body, size_t length, char hex[HASH_SIZE], bool anywhere)
{
    unsigned char digest[DIGEST_SIZE];
    leaf_hashes(1, &body, &length, digest, anywhere);
    put_hex(hex, digest, DIGEST_SIZE);
}

/* The hashes of inner nodes, SHA-256(0x01 || left || right). */
void node_hashes(const unsigned char *pairs, size_t count, unsigned char *nodes);

/* append.c, copies.c, linked.c, plain.c: functions of the module */
PyObject *py_append(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *py_copied(PyObject *module, PyObject *args);
PyObject *py_linked(PyObject *module, PyObject *args);
PyObject *py_parents(PyObject *module, PyObject *args);
PyObject *py_encoder(PyObject *module, PyObject *args);

#endif
