/* `append`: link one record, hash it, and write it to the end of a file that nobody else has extended.
 *
 * What is not as it usually is (the lock is held, the file is longer than it was or another one, the
 * segment is full, the disk takes a part only) ends in None with the file as it was
 * found, and Python does it. The system calls are made without the interpreter's lock, and no signal
 * is handled between them. */
#include "leaf.h"

#include <errno.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What the function is given, in this order. */
enum {
    DRAFTS, LINKED, PREFIX, ID, OWN, LOCK, LOCK_FILE, LOCK_LINKS, LOCK_CHECK, ACTIVE, PATH,
    ACTIVE_FILE, ACTIVE_SIZE, MAX_BYTES, FRESH, FRESH_FOR, LINK, CHAIN, SEQ, PREV, ARGUMENTS,
};
#define ATTEMPTS 2 /* each further one takes the processor from a holder, and costs throughput */

static const char PREV_HASH[] = ",\"prev_hash\":\"";
static const char HASH[] = "\",\"hash\":\"";
static const char END[] = "\"}\n";

#define SIZE(literal) ((Py_ssize_t)sizeof literal - 1)

typedef struct {
    const char *text;
    Py_ssize_t size;
} Text;

/* Device and inode: which file it is. */
typedef struct {
    long long device, inode;
} Identity;

typedef struct {
    Text prefix, link, before, path;
    int lock, file;
    Identity lock_file, active_file;
    long long size, max_bytes, fresh_until, seq, lock_links, lock_check;
    long long looked; /* when the look at the path began; 0 where it is recent enough */
} Given;

static bool text_of(PyObject *object, Text *text)
{
    if (!PyUnicode_CheckExact(object))
        return false;
    if (PyUnicode_IS_COMPACT_ASCII(object)) {
        *text = (Text){(const char *)PyUnicode_1BYTE_DATA(object), PyUnicode_GET_LENGTH(object)};
        return true;
    }
    text->text = PyUnicode_AsUTF8AndSize(object, &text->size);
    return text->text != NULL;
}

static bool number_of(PyObject *object, long long *number)
{
    int overflow = 1;
    if (PyLong_CheckExact(object))
        *number = PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow;
}

static bool descriptor_of(PyObject *object, int *descriptor)
{
    long long number;
    if (!number_of(object, &number) || number < 0 || number > INT32_MAX)
        return false;
    *descriptor = (int)number;
    return true;
}

static bool identity_of(PyObject *object, Identity *identity)
{
    return PyTuple_CheckExact(object) && PyTuple_GET_SIZE(object) == 2
        && number_of(PyTuple_GET_ITEM(object, 0), &identity->device)
        && number_of(PyTuple_GET_ITEM(object, 1), &identity->inode);
}

static long long monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Read the arguments; false where one has not the form it usually has, or where it is time for the
 * looks that only Python takes. */
static bool take(PyObject *const *args, Given *given)
{
    long long now = monotonic(), fresh_for = 0;
    return PyList_CheckExact(args[DRAFTS]) && text_of(args[PREFIX], &given->prefix)
        && descriptor_of(args[LOCK], &given->lock) && descriptor_of(args[ACTIVE], &given->file)
        && number_of(args[ACTIVE_SIZE], &given->size) && number_of(args[MAX_BYTES], &given->max_bytes)
        && number_of(args[FRESH], &given->fresh_until) && number_of(args[FRESH_FOR], &fresh_for)
        && text_of(args[LINK], &given->link)
        && identity_of(args[LOCK_FILE], &given->lock_file) && number_of(args[LOCK_LINKS], &given->lock_links)
        && number_of(args[LOCK_CHECK], &given->lock_check) && text_of(args[PATH], &given->path)
        && identity_of(args[ACTIVE_FILE], &given->active_file) && now < given->lock_check
        && ((given->fresh_until += fresh_for), (given->looked = now <= given->fresh_until ? 0 : now), true)
        && number_of(args[SEQ], &given->seq) && text_of(args[PREV], &given->before)
        && given->size > 0 && given->link.size && given->seq >= 0 && given->seq < INT64_MAX
        && given->before.size == HASH_SIZE;
}

static char *put(char *at, const char *text, Py_ssize_t size)
{
    memcpy(at, text, (size_t)size);
    return at + size;
}

/* The line, and where its hash stands in it; NULL, without an exception, when the segment is full. */
static PyObject *line_of(const Given *given, char **hash)
{
    char digits[20], *first = digits + sizeof digits;
    long long seq = given->seq + 1;
    do
        *--first = (char)('0' + seq % 10);
    while (seq /= 10);
    Py_ssize_t count = digits + sizeof digits - first;
    Py_ssize_t body = given->prefix.size + given->link.size + count + SIZE(PREV_HASH) + HASH_SIZE + 1;
    Py_ssize_t length = body - 1 + SIZE(HASH) + HASH_SIZE + SIZE(END);
    if (given->size + length > given->max_bytes)
        return NULL;
    PyObject *line = PyBytes_FromStringAndSize(NULL, length);
    if (!line)
        return NULL;
    char *begin = PyBytes_AS_STRING(line);
    char *at = put(begin, given->prefix.text, given->prefix.size);
    at = put(at, given->link.text, given->link.size);
    at = put(at, first, count);
    at = put(at, PREV_HASH, SIZE(PREV_HASH));
    at = put(at, given->before.text, HASH_SIZE);
    *hash = put(at, HASH, SIZE(HASH));
    leaf_hash(begin, (size_t)body, *hash);
    put(*hash + HASH_SIZE, END, SIZE(END));
    return line;
}

static bool is(const struct stat *found, const Identity *identity)
{
    return (long long)found->st_dev == identity->device && (long long)found->st_ino == identity->inode;
}

/* Whether the lock file has its names, and the file at the path is the one that is open: what
 * `CriticalSection.look` finds in the usual case. The lock is held. */
static bool in_place(const Given *given)
{
    struct stat lock, active;
    return fstat(given->lock, &lock) == 0 && is(&lock, &given->lock_file)
        && (long long)lock.st_nlink >= given->lock_links && lstat(given->path.text, &active) == 0
        && is(&active, &given->active_file) && (long long)active.st_size == given->size;
}

/* Another process holds the lock for a few microseconds; a frozen one is Python's to wait for. */
static bool locked(int descriptor)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        sched_yield();
    }
    return false;
}

/* Whether the line is in the file. */
static bool written(const Given *given, const char *line, Py_ssize_t length)
{
    if (!locked(given->lock))
        return false;
    bool done = false;
    bool fresh = !given->looked && monotonic() <= given->fresh_until;
    if ((fresh || in_place(given)) && lseek(given->file, 0, SEEK_END) == given->size) {
        ssize_t taken = write(given->file, line, (size_t)length);
        done = taken == length;
        /* Nobody else can have appended: the lock is ours. Should this fail, too, Python finds the
         * tear and declares it. */
        int ignored = !done && taken > 0 ? ftruncate(given->file, given->size) : 0;
        (void)ignored;
    }
    flock(given->lock, LOCK_UN);
    return done;
}

/* Everything that takes memory is made before the line is written: what fails then has done nothing.
 * A tuple of the record (`Linked`), the new size of the file, and when the path was looked at (0 when it
 * was not); NULL when it cannot be made. */
static PyObject *result_of(PyObject *const *args, const Given *given, PyObject *line, const char *hash)
{
    PyObject *result = PyTuple_New(3), *linked = NULL;
    PyObject *digest = PyUnicode_New(HASH_SIZE, 127), *seq = PyLong_FromLongLong(given->seq + 1);
    PyObject *size = PyLong_FromLongLong(given->size + PyBytes_GET_SIZE(line));
    PyObject *looked = PyLong_FromLongLong(given->looked);
    if (result && digest && seq && size && looked) {
        memcpy(PyUnicode_1BYTE_DATA(digest), hash, HASH_SIZE);
        PyObject *members[] = {line, args[CHAIN], seq, digest, args[PREV], args[ID], args[OWN]};
        linked = PyObject_Vectorcall(args[LINKED], members, 7, NULL);
    }
    Py_XDECREF(digest);
    Py_XDECREF(seq);
    if (linked) {
        PyTuple_SET_ITEM(result, 0, linked);
        PyTuple_SET_ITEM(result, 1, size);
        PyTuple_SET_ITEM(result, 2, looked);
        return result;
    }
    Py_XDECREF(looked);
    Py_XDECREF(size);
    Py_XDECREF(result);
    return NULL;
}

PyObject *py_append(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Given given;
    char *hash;
    if (count != ARGUMENTS)
        return PyErr_Format(PyExc_TypeError, "append() takes %d arguments", ARGUMENTS);
    PyObject *line = take(args, &given) ? line_of(&given, &hash) : NULL;
    PyObject *result = line ? result_of(args, &given, line, hash) : NULL;
    bool done = false;
    if (result) {
        Py_BEGIN_ALLOW_THREADS
        done = written(&given, PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line));
        Py_END_ALLOW_THREADS
    }
    Py_XDECREF(line);
    if (done && PyList_SetSlice(args[DRAFTS], 0, 1, NULL) == 0)
        return result;
    Py_XDECREF(result);
    /* A lone surrogate, or no memory: Python meets the same. */
    PyErr_Clear();
    Py_RETURN_NONE;
}
