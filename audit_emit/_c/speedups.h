/* What the files of the compiled part know of each other.
 *
 * The compiled part does one thing: what `Emitter.emit` does in the usual case, in one call. It never
 * decides anything. Whatever is not as it usually is (a value to look at, a file that moved, a full
 * disk, a lock that is held) it leaves, with nothing done, to the Python code, which is the reference
 * and works without it. */
#ifndef AUDIT_EMIT_SPEEDUPS_H
#define AUDIT_EMIT_SPEEDUPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pythread.h>
#include <structmember.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef Py_GIL_DISABLED
#error "the compiled part relies on the interpreter's lock; without it, emit in Python"
#endif

#define BILLION 1000000000LL
#define MILLION 1000000LL
#define FRACTION 9 /* digits of a ts after its point */
#define HEAD_SIZE 27 /* what a record begins with, up to that point */
#define ID_SIZE 36
#define SALT_SIZE 9
#define HASH_SIZE 64

/* A text that belongs to somebody else. */
typedef struct {
    const char *text;
    Py_ssize_t size;
} Text;

/* -- states.c: the attributes that the compiled part shares with Python classes, which own them --- */

typedef struct { /* of _clock.Clock */
    PyObject_HEAD
    PyObject *salt; /* str */
    PyObject *ids;  /* itertools.count */
} ClockState;

typedef struct { /* of sinks.jsonl.JsonlSink */
    PyObject_HEAD
    PyObject *mutex;   /* Mutex */
    PyObject *segment; /* SegmentState */
    PyObject *lines;   /* list that collects lines for the group commit, or None */
    PyObject *group;   /* GroupCommit, or None */
    long long lock_checked;
    long long lines_size; /* bytes of the lines */
    int lock_fd;
    int lock_links; /* names that the lock file has as long as nobody deletes one */
    char busy;
    char calls_again; /* whether the group commit is to hear of the next line */
} SinkState;

typedef struct {
    PyObject_HEAD
    PyThread_type_lock lock;
    unsigned long owner;
    unsigned long count;
} Mutex;

typedef struct { /* of sinks.segment.Segment */
    PyObject_HEAD
    PyObject *hash;
    PyObject *chain;
    PyObject *link_part;
    PyObject *unshown; /* list */
    /* Objects, as a damaged file may hold numbers that no C type does. */
    PyObject *seq;
    PyObject *last_ns;
    long long size;
    long long fresh;
    long long fresh_size;
    long long written;
    long long max_bytes;
    int descriptor;
} SegmentState;

typedef struct { /* of sinks.descriptor.Descriptor */
    PyObject_HEAD
    PyObject *identity; /* (device, inode), or None */
    PyObject *prefix; /* bytes */
    PyObject *owed;   /* bytes */
    PyObject *fault;
    PyObject *last; /* bytes */
    PyObject *dup;  /* int; nobody else gets the number while this is held (owned.py) */
    long long max_bytes;
    long long checked;
    int number;
    char nowait;
    char null;
    char asks;
} DescriptorState;

typedef struct { /* of _delivery.Delivery */
    PyObject_HEAD
    PyObject *quick;      /* Quick, or None; in tests, any callable */
    PyObject *file_fault; /* None while all is well */
    long long unmade;     /* events for which there was no memory at all */
    long long unshown;    /* lines in the file that nobody knows are to be shown */
    char pending;
} EmitterState;

extern PyType_Spec clock_state_spec, sink_state_spec, segment_state_spec, descriptor_state_spec;
extern PyType_Spec emitter_state_spec, mutex_spec;

extern PyMethodDef emitter_state_methods[]; /* emitter.c */

/* The types, kept by the module. */
typedef struct {
    PyTypeObject *clock, *sink, *segment, *descriptor, *emitter, *mutex, *quick, *table;
} ModuleState;

/* -- mutex.c -------------------------------------------------------------------------------------- */

/* Take it if it is free, or held by this thread. */
bool mutex_try(Mutex *self);

/* Give it back; false when this thread does not hold it. */
bool mutex_release(Mutex *self);

/* Put an object, whose reference is given away, in the place of another. */
static inline void become(PyObject **member, PyObject *object)
{
    PyObject *before = *member;
    *member = object;
    Py_XDECREF(before);
}

static inline PyObject *same(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}

/* A str of ASCII characters; nothing checks that they are. */
static inline PyObject *ascii_of(const char *text, Py_ssize_t size)
{
    PyObject *made = PyUnicode_New(size, 127);
    if (made)
        memcpy(PyUnicode_1BYTE_DATA(made), text, (size_t)size);
    return made;
}

/* -- sha256.c ------------------------------------------------------------------------------------ */

/* Find out what the processor has for it; before anything is hashed. */
void choose_hash(void);

/* The leaf hash of docs/wire-format.md, section 2: SHA-256(0x00 || body || '}'), as hex. */
void leaf_hash(const char *body, size_t length, char hex[HASH_SIZE]);

/* The same without the instructions that a processor may have for it. */
void leaf_hash_anywhere(const char *body, size_t length, char hex[HASH_SIZE]);

/* -- linked.c -------------------------------------------------------------------------------------- */

PyObject *py_linked(PyObject *module, PyObject *args);

/* -- plain.c: which fields are harmless, and their JSON ----------------------------------------------- */

extern PyType_Spec table_spec;

/* A str; False when a helper (None without one) could tell; None when the full way must. NULL with
 * an exception. */
PyObject *encode_plain(PyObject *table, PyObject *fields, PyObject *names, PyObject *helper);

/* -- append.c: the stretch without the interpreter's lock ------------------------------------------ */

typedef struct {
    unsigned long long device, inode;
} Identity;

/* Whether what a descriptor points to is what it was. */
bool is_at(int descriptor, const Identity *identity);

/* The beginning of the records of one second. */
typedef struct {
    long long second; /* since 1970 */
    char head[HEAD_SIZE];
} Second;

/* Make it, for a second that is not negative. */
void begin_second(Second *known, long long second);

/* All that the stretch needs, and what comes of it. */
typedef struct {
    /* the record, in the order of its line after its time, and the sum of the sizes */
    Text opening, before, json, before_id, end, link;
    Py_ssize_t texts_size;
    Second second;
    Text salt;
    long long number; /* the end of the id */
    char id[ID_SIZE];
    /* the end of the chain, as it is known and then as it is */
    Text chain;
    long long seq;
    long long last_ns;
    char hash[HASH_SIZE];
    /* the file, as it is known */
    int lock_fd;
    int lock_links;
    int descriptor;
    long long size;
    long long max_bytes;
    long long fresh;
    long long fresh_ns;
    bool looks; /* whether what follows is known, so that the file can be looked at */
    const char *path;
    Identity identity, lock_identity;
    const char *lock_path; /* NULL when it need not be looked at now */
    long long pid;
    /* where the line is made; before it stands the prefix of standard output */
    char *line;
    Py_ssize_t room;
    /* what came of it */
    Py_ssize_t length;
    long long now;
    bool looked;
    bool grew; /* another process has written */
    bool unlocked;
} Append;

/* What a line has beyond its texts: its time, the digits of `seq`, its id, two hashes. */
#define LINE_ROOM (HEAD_SIZE + FRACTION + ID_SIZE + 2 * HASH_SIZE + 64)

long long wall_ns(void);
long long monotonic_ns(void);

/* Write `count` decimal digits of a number; whether that was all of it. */
bool put_digits(char *at, long long number, int count);

/* Whether the record is in the file. */
bool append_record(Append *append);

/* -- show.c: standard output ----------------------------------------------------------------------- */

#define MAX_PREFIX 32

/* How a line gets to standard output, and how much of it did. */
typedef struct {
    PyObject *dup; /* held for as long as its number is used */
    int descriptor;
    int number;
    Identity identity;
    long long checked, recheck_ns; /* when the descriptor was looked at, and how long that is good */
    bool nowait; /* by RWF_NOWAIT */
    bool at_once; /* a write waits for nobody */
    long long max_bytes;
    Text prefix;
    long long looked; /* when it was looked at just before the line was written, else 0 */
    Py_ssize_t written;
} Show;

/* Whether the usual way is open. Whether the descriptor is still the one that lines belong to is
 * decided when the line is written, which may be much later. */
bool may_show(Show *show, const DescriptorState *sink, long long recheck_ns);

/* Take a pair of numbers; whether it is one. */
bool take_identity(PyObject *pair, Identity *identity);

/* Both: without the interpreter's lock, in one system call; whether anything was written. */

/* Write a line that stands behind its prefix, waiting for nobody. */
bool show_at_once(Show *show, const char *data, Py_ssize_t length);

/* Write a line where that may take its time. */
bool show_in_time(Show *show, Text line);

/* Make known what came of it. None, or the bytes that must follow before another line does. */
PyObject *remember_shown(const Show *show, DescriptorState *sink, PyObject *line);

/* -- emit.c ---------------------------------------------------------------------------------------- */

extern PyType_Spec quick_spec;

/* A line in the file that is still to be shown, by whoever comes next. */
typedef struct {
    PyObject *line;
    bool forgotten; /* there was no memory for it */
} Unshown;

/* A receipt; the line and the receipt when the line is still to be shown; an empty tuple when there
 * was no memory for them; None when nothing was done. NULL for an interrupt (`_interrupts.py`). */
PyObject *quick_emit(PyObject *quick, PyObject *const args[3], Unshown *unshown);

/* Forget an exception unless it is an interrupt. Whether there is none. `is_interrupt` is asked about
 * what came out of Python code; NULL: it is none. */
bool forget(PyObject *is_interrupt);

#endif
