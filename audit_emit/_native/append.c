/* `append`: one record, from the parts of its text to the end of a file that nobody else has extended,
 * and to standard output.
 *
 * What is not as it usually is (the lock is held, the file is longer than it was or another one, the
 * segment is full, the disk takes a part only) ends in None with the file as it was found, and Python
 * does it. The system calls are made without the interpreter's lock, and no signal is handled between
 * them. */
#include "leaf.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What the function is given, in this order, and what the tuples among it hold: see
 * `compiled_append` and `nonblocking_fd.Direct`. */
enum { KEPT, PLACE, PART, CLOSING, CHAIN_END, MIRROR, MIRROR_CHECKED, ARGUMENTS };
enum { NUMBERS, RECEIPT, IDS, PROCESS, HEAD, PATH, LINK, CHAIN, PLACES };
enum { ACTIVE_SIZE, SEQ, PREV, LAST, FRESH, ENDS };
enum { MIRROR_NUMBERS, LINE_PREFIX, OWNED, MIRRORS };
static const char HASH[] = "\",\"hash\":\"";
static const char END[] = "\"}\n";

#define SIZE(literal) ((Py_ssize_t)sizeof literal - 1)
#define HEAD_SIZE SIZE("{\"ts\":\"2026-01-31T00:00:00.")
#define FRACTION_SIZE 9
#define ID_SIZE 36
#define PROCESS_SIZE SIZE("7000-8000")
#define NS_PER_SECOND 1000000000LL

typedef struct {
    const char *text;
    Py_ssize_t size;
} Text;

/* Device and inode: which file it is. */
typedef struct {
    unsigned long long device, inode;
} Identity;

/* `compiled_append.NUMBERS` */
typedef struct {
    long long lock, lock_links, lock_check, file, max_bytes, fresh_for, second;
    Identity lock_file, active_file;
} Place;

/* `nonblocking_fd.NUMBERS`: where a line is shown without ever blocking */
typedef struct {
    long long number, duplicate, max_bytes, flags, recheck;
    Identity file;
} Mirror;

typedef struct {
    Text process, head, part, closing, link, before, path, line_prefix;
    Place place;
    Mirror mirror;
    long long size, seq, fresh_until;
    long long looked;        /* when the look at the path began; 0 where it is recent enough */
    long long mirror_looked; /* the same of standard output */
    long long now;           /* nanoseconds since 1970 */
    bool mirrored;
    PyObject *id; /* borrowed; NULL where one is to be made */
} Given;

static bool text_of(PyObject *object, Text *text)
{
    if (PyBytes_CheckExact(object)) {
        *text = (Text){PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object)};
        return true;
    }
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

static bool numbers_of(PyObject *object, void *numbers, Py_ssize_t size)
{
    if (!PyBytes_CheckExact(object) || PyBytes_GET_SIZE(object) != size)
        return false;
    memcpy(numbers, PyBytes_AS_STRING(object), (size_t)size);
    return true;
}

/* The items of a tuple of a size; NULL where it is none. */
static PyObject *const *items_of(PyObject *object, Py_ssize_t size)
{
    return PyTuple_Check(object) && PyTuple_GET_SIZE(object) == size ? ((PyTupleObject *)object)->ob_item
                                                                     : NULL;
}

static long long clock_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* The part of a record, with its id where what is sealed in it is bound to that. */
static bool part_of(PyObject *object, Given *given)
{
    PyObject *const *items = items_of(object, 2);
    given->id = items ? items[1] : NULL;
    return text_of(items ? items[0] : object, &given->part)
        && (!items || (PyUnicode_CheckExact(given->id) && PyUnicode_IS_COMPACT_ASCII(given->id)
                       && PyUnicode_GET_LENGTH(given->id) == ID_SIZE));
}

/* Read the arguments; false where one has not the form it usually has, or where it is time for the
 * looks that only Python takes. */
static bool take(PyObject *const *args, PyObject *const *place, Given *given)
{
    PyObject *const *end = items_of(args[CHAIN_END], ENDS), *const *mirror = items_of(args[MIRROR], MIRRORS);
    long long monotonic = clock_of(CLOCK_MONOTONIC), last = 0, checked = 0;
    if (!place || !end || !PyList_CheckExact(args[KEPT]) || PyList_GET_SIZE(args[KEPT]) != 1
        || !numbers_of(place[NUMBERS], &given->place, sizeof given->place)
        || !text_of(place[PROCESS], &given->process) || !text_of(place[HEAD], &given->head)
        || !text_of(place[PATH], &given->path) || !text_of(place[LINK], &given->link)
        || !part_of(args[PART], given) || !text_of(args[CLOSING], &given->closing)
        || !number_of(end[ACTIVE_SIZE], &given->size) || !number_of(end[SEQ], &given->seq)
        || !text_of(end[PREV], &given->before) || !number_of(end[LAST], &last)
        || !number_of(end[FRESH], &given->fresh_until) || !number_of(args[MIRROR_CHECKED], &checked))
        return false;
    given->fresh_until += given->place.fresh_for;
    given->looked = monotonic <= given->fresh_until ? 0 : monotonic;
    given->now = clock_of(CLOCK_REALTIME);
    if (given->now == last) /* no two records of a chain have the same time, though a clock stand still */
        given->now++;
    given->mirrored = mirror && numbers_of(mirror[MIRROR_NUMBERS], &given->mirror, sizeof given->mirror)
                   && text_of(mirror[LINE_PREFIX], &given->line_prefix);
    bool is_checked = given->mirrored && checked <= given->now && given->now - checked <= given->mirror.recheck;
    given->mirror_looked = given->mirrored && !is_checked ? given->now : 0;
    return given->now >= 0 && monotonic < given->place.lock_check && given->size > 0
        && given->link.size == LINK_START && given->seq >= 0 && given->seq < INT64_MAX && given->before.size == HASH_SIZE
        && given->process.size == PROCESS_SIZE && given->head.size == HEAD_SIZE
        && given->now / NS_PER_SECOND == given->place.second;
}

/* A number with so many digits, the leading ones 0. Inline, as each base is a constant then: the
 * processor divides by no variable. */
static inline void put_number(char *at, int digits, unsigned base, unsigned long long number)
{
    for (int i = digits; i--; number /= base)
        at[i] = "0123456789abcdef"[number % base];
}

/* A UUIDv7, as `Clock` makes it: milliseconds, what all ids of a process share, and the next number. */
static PyObject *id_of(const Given *given, PyObject *ids)
{
    long long number;
    if (given->id)
        return Py_NewRef(given->id);
    PyObject *next = PyIter_Check(ids) ? PyIter_Next(ids) : NULL;
    bool taken = next && number_of(next, &number) && number >= 0;
    Py_XDECREF(next);
    PyObject *id = taken ? PyUnicode_New(ID_SIZE, 127) : NULL;
    if (!id)
        return NULL;
    char *at = (char *)PyUnicode_1BYTE_DATA(id);
    unsigned long long milli = (unsigned long long)given->now / 1000000;
    put_number(at, 8, 16, milli >> 16);
    put_number(at + 9, 4, 16, milli & 0xffff);
    at[8] = at[13] = at[23] = '-';
    put_text(at + 14, given->process.text, PROCESS_SIZE);
    put_number(at + 24, 12, 10, (unsigned long long)number);
    return id;
}

/* The line, and where its hash stands in it; NULL, without an exception, when the segment is full. */
static PyObject *line_of(const Given *given, PyObject *id, char **hash)
{
    char link[LINK_SIZE];
    Py_ssize_t linked = put_link(link, given->link.text, given->seq + 1, given->before.text) - 1;
    Py_ssize_t body = HEAD_SIZE + FRACTION_SIZE + given->part.size + ID_SIZE + given->closing.size + linked;
    Py_ssize_t length = body + SIZE(HASH) + HASH_SIZE + SIZE(END);
    PyObject *line = given->size + length > given->place.max_bytes ? NULL
                                                                   : PyBytes_FromStringAndSize(NULL, length);
    if (!line)
        return NULL;
    char *begin = PyBytes_AS_STRING(line), *at = put_text(begin, given->head.text, HEAD_SIZE);
    put_number(at, FRACTION_SIZE, 10, (unsigned long long)(given->now % NS_PER_SECOND));
    at = put_text(at + FRACTION_SIZE, given->part.text, given->part.size);
    at = put_text(at, (const char *)PyUnicode_1BYTE_DATA(id), ID_SIZE);
    at = put_text(at, given->closing.text, given->closing.size);
    at = put_text(at, link, linked);
    *hash = put_text(at, HASH, SIZE(HASH));
    leaf_hash(begin, (size_t)body + 1, *hash, false); /* with the quotation mark that ends `prev_hash` */
    put_text(*hash + HASH_SIZE, END, SIZE(END));
    return line;
}

static bool is(const struct stat *found, const Identity *identity)
{
    return found->st_dev == identity->device && found->st_ino == identity->inode;
}

/* Whether the lock file has its names, and the file at the path is the one that is open: what
 * `CriticalSection.look` finds in the usual case. The lock is held. */
static bool in_place(const Given *given)
{
    struct stat lock, active;
    return fstat((int)given->place.lock, &lock) == 0 && is(&lock, &given->place.lock_file)
        && (long long)lock.st_nlink >= given->place.lock_links && lstat(given->path.text, &active) == 0
        && is(&active, &given->place.active_file) && (long long)active.st_size == given->size;
}

/* Another process holds the lock for a few microseconds; a frozen one is Python's to wait for. Each
 * further attempt takes the processor from a holder, and costs throughput. */
static bool locked(int lock)
{
    return flock(lock, LOCK_EX | LOCK_NB) == 0
        || (errno == EWOULDBLOCK && sched_yield() == 0 && flock(lock, LOCK_EX | LOCK_NB) == 0);
}

/* What is in the file of the line. Somebody who takes no lock may have appended since the look, and
 * left a line without an end: then the record is written again, and begins a line. */
static ssize_t write_line(const Given *given, const char *line, Py_ssize_t length)
{
    int file = (int)given->place.file, attempts = 0;
    char before = '\n';
    ssize_t taken;
    off_t start;
    do {
        taken = write(file, line, (size_t)length);
        start = lseek(file, 0, SEEK_CUR) - length;
    } while (taken == length && start > given->size && pread(file, &before, 1, start - 1) == 1
             && before != '\n' && ++attempts < 4);
    return taken;
}

/* Whether the line is in the file. */
static bool written(const Given *given, const char *line, Py_ssize_t length)
{
    int lock = (int)given->place.lock, file = (int)given->place.file;
    struct stat found;
    /* The number may be another file's by now: that is not ours to lock, and to unlock. */
    if (given->looked && (fstat(lock, &found) || !is(&found, &given->place.lock_file)))
        return false;
    if (!locked(lock))
        return false;
    bool done = false;
    bool fresh = !given->looked && clock_of(CLOCK_MONOTONIC) <= given->fresh_until;
    if ((fresh || in_place(given)) && lseek(file, 0, SEEK_END) == given->size) {
        ssize_t taken = write_line(given, line, length);
        done = taken == length;
        /* Nobody else can have appended: the lock is ours. Should this fail, too, Python finds the
         * tear and declares it. */
        if (!done && taken > 0 && ftruncate(file, given->size) != 0)
            errno = 0;
    }
    flock(lock, LOCK_UN);
    return done;
}

/* Whether the line is on standard output, too: the whole of it, as a write that never blocks takes
 * all or nothing of what is so short. */
static bool shown(const Given *given, const char *line, Py_ssize_t length)
{
#ifdef RWF_NOWAIT
    const Mirror *mirror = &given->mirror;
    struct stat found, own;
    char whole[PIPE_BUF]; /* one piece: for two, the kernel takes a quarter longer */
    struct iovec piece = {whole, (size_t)(given->line_prefix.size + length)};
    if (piece.iov_len > sizeof whole || (long long)piece.iov_len > mirror->max_bytes
        || (given->mirror_looked
            && (fstat((int)mirror->number, &found) || !is(&found, &mirror->file)
                || fstat((int)mirror->duplicate, &own) || !is(&own, &mirror->file))))
        return false;
    put_text(put_text(whole, given->line_prefix.text, given->line_prefix.size), line, length);
    return pwritev2((int)mirror->duplicate, &piece, 1, -1, (int)mirror->flags) == (ssize_t)piece.iov_len;
#else
    return false;
#endif
}

/* Everything that takes memory is made before the line is written: what fails then has done nothing.
 * A tuple: the receipt, the line, the new size of the file, the time of the record, when the path and
 * standard output were looked at (0 when they were not), and whether the line is shown. */
static PyObject *result_of(PyObject *const *place, const Given *given, PyObject *line, PyObject *id,
                           const char *hash)
{
    PyObject *digest = PyUnicode_New(HASH_SIZE, 127);
    PyObject *receipt = NULL, *seq = PyLong_FromLongLong(given->seq + 1), *result = NULL;
    PyObject *size = PyLong_FromLongLong(given->size + PyBytes_GET_SIZE(line));
    PyObject *now = PyLong_FromLongLong(given->now), *looked = PyLong_FromLongLong(given->looked);
    PyObject *checked = PyLong_FromLongLong(given->mirror_looked);
    if (digest && seq) {
        memcpy(PyUnicode_1BYTE_DATA(digest), hash, HASH_SIZE);
        PyObject *members[] = {id, place[CHAIN], seq, digest};
        receipt = PyObject_Vectorcall(place[RECEIPT], members, 4, NULL);
    }
    if (receipt && size && now && looked && checked)
        result = PyTuple_Pack(7, receipt, line, size, now, looked, checked, Py_False);
    if (result) /* else another thread finds it (`gc.get_objects`) before its last item is set */
        PyObject_GC_UnTrack(result);
    PyObject *made[] = {digest, seq, receipt, size, now, looked, checked};
    for (int i = 0; i < 7; i++)
        Py_XDECREF(made[i]);
    return result;
}

PyObject *py_append(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Given given;
    char *hash;
    if (count != ARGUMENTS)
        return PyErr_Format(PyExc_TypeError, "append() takes %d arguments", ARGUMENTS);
    PyObject *const *place = items_of(args[PLACE], PLACES);
    PyObject *id = take(args, place, &given) ? id_of(&given, place[IDS]) : NULL;
    PyObject *line = id ? line_of(&given, id, &hash) : NULL;
    PyObject *result = line ? result_of(place, &given, line, id, hash) : NULL;
    bool done = false, seen = false;
    if (result) {
        const char *text = PyBytes_AS_STRING(line);
        Py_ssize_t length = PyBytes_GET_SIZE(line);
        Py_BEGIN_ALLOW_THREADS
        done = written(&given, text, length);
        seen = done && given.mirrored && shown(&given, text, length);
        Py_END_ALLOW_THREADS
    }
    Py_XDECREF(line);
    Py_XDECREF(id);
    if (seen)
        PyTuple_SetItem(result, 6, Py_NewRef(Py_True));
    if (done && PyList_SetItem(args[KEPT], 0, Py_NewRef(result)) == 0)
        return result;
    Py_XDECREF(result);
    /* A lone surrogate, or no memory: Python meets the same. */
    PyErr_Clear();
    Py_RETURN_NONE;
}
