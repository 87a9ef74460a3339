/* One record into the file, in one stretch without the interpreter's lock: `JsonlSink.append`, with
 * `Segment.look` where it finds nothing new or whole records of other processes, and `Segment.link`.
 *
 * Nothing here touches a Python object. What is not as it usually is ends in `false` with the file
 * as it was found, and the caller leaves it to Python. */
#include "speedups.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LAST 16384 /* bytes of other processes' records that are read at most, the last ones */
#define LOCK_SIZE 512 /* a longer lock file says what is owed (`_stores/jsonl/undeclared.py`) */
#define ATTEMPTS 2 /* each further one takes the processor from a holder, and costs throughput */

static const char CHAIN[] = ",\"chain\":\"";
static const char SEQ[] = "\",\"seq\":";
static const char PREV_HASH[] = ",\"prev_hash\":\"";
static const char HASH[] = "\",\"hash\":\"";
static const char END[] = "\"}\n";

#define SIZE(literal) ((Py_ssize_t)sizeof literal - 1)

static long long ns_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * BILLION + now.tv_nsec;
}

long long wall_ns(void)
{
    return ns_of(CLOCK_REALTIME);
}

long long monotonic_ns(void)
{
    return ns_of(CLOCK_MONOTONIC);
}

bool put_digits(char *at, long long number, int count)
{
    while (count--) {
        at[count] = (char)('0' + number % 10);
        number /= 10;
    }
    return number == 0;
}

static char *put(char *at, const char *text, Py_ssize_t size)
{
    memcpy(at, text, (size_t)size);
    return at + size;
}

static char *put_text(char *at, Text text)
{
    return put(at, text.text, text.size);
}

/* -- the end of the chain, as other processes left it (`tail.read_growth`, `record.head_of`) ------ */

static bool all_digits(const char *at, int count)
{
    for (int i = 0; i < count; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return true;
}

static bool all_hex(const char *at, int count)
{
    for (int i = 0; i < count; i++)
        if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
            return false;
    return true;
}

static long long number_at(const char *at, int count)
{
    long long number = 0;
    for (int i = 0; i < count; i++)
        number = number * 10 + (at[i] - '0');
    return number;
}

/* Days from 1970-01-01 in the Gregorian calendar, whose year is taken to begin in March. */
static long long days(long long year, long long month, long long day)
{
    year -= month <= 2;
    month = (month + 9) % 12;
    return year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719469;
}

static const char MONTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* Read `{"ts":"2026-05-19T20:00:00.123456789Z","` as nanoseconds. Leap days, and years that 64 bits
 * do not hold, are left to Python, which knows the calendar. */
static bool read_ts(const char *at, const char *stop, long long *ns)
{
    static const char shape[] = "{\"ts\":\"dddd-dd-ddTdd:dd:dd.dddddddddZ\",\"";
    if (stop - at < SIZE(shape))
        return false;
    for (Py_ssize_t i = 0; i < SIZE(shape); i++)
        if (shape[i] == 'd' ? !all_digits(at + i, 1) : at[i] != shape[i])
            return false;
    long long year = number_at(at + 7, 4), month = number_at(at + 12, 2);
    long long day = number_at(at + 15, 2), hour = number_at(at + 18, 2);
    long long minute = number_at(at + 21, 2), second = number_at(at + 24, 2);
    if (year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1
        || day > MONTHS[month - 1] || hour > 23 || minute > 59 || second > 59)
        return false;
    *ns = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    *ns = *ns * BILLION + number_at(at + 27, FRACTION);
    return true;
}

static bool is_leap(long long year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

void begin_second(Second *known, long long second)
{
    long long year = 1970, day = second / 86400, rest = second % 86400, length;
    for (; day >= (length = 365 + is_leap(year)); year++)
        day -= length;
    int month = 0;
    for (; day >= (length = MONTHS[month] + (month == 1 && is_leap(year))); month++)
        day -= length;
    memcpy(known->head, "{\"ts\":\"yyyy-mm-ddThh:mm:ss.", HEAD_SIZE);
    put_digits(known->head + 7, year, 4);
    put_digits(known->head + 12, month + 1, 2);
    put_digits(known->head + 15, day + 1, 2);
    put_digits(known->head + 18, rest / 3600, 2);
    put_digits(known->head + 21, rest / 60 % 60, 2);
    put_digits(known->head + 24, rest % 60, 2);
    known->second = second;
}

static bool expect(const char **at, const char *stop, const char *text, Py_ssize_t size)
{
    if (stop - *at < size || memcmp(*at, text, (size_t)size) != 0)
        return false;
    *at += size;
    return true;
}

/* The chain members that end a line; only a later record of our own chain will do. */
static bool read_end(Append *append, const char *at, const char *stop)
{
    if (!expect(&at, stop, CHAIN, SIZE(CHAIN))
        || !expect(&at, stop, append->chain.text, append->chain.size)
        || !expect(&at, stop, SEQ, SIZE(SEQ)))
        return false;
    int count = 0;
    while (at + count < stop && all_digits(at + count, 1))
        count++;
    if (count < 1 || count > 18 || at[0] == '0')
        return false;
    long long seq = number_at(at, count);
    at += count;
    if (!expect(&at, stop, PREV_HASH, SIZE(PREV_HASH)) || stop - at < HASH_SIZE
        || !all_hex(at, HASH_SIZE))
        return false;
    at += HASH_SIZE;
    if (!expect(&at, stop, HASH, SIZE(HASH)) || stop - at != HASH_SIZE + SIZE(END)
        || !all_hex(at, HASH_SIZE) || memcmp(at + HASH_SIZE, END, SIZE(END)) != 0
        || seq <= append->seq)
        return false;
    append->seq = seq;
    memcpy(append->hash, at, HASH_SIZE);
    return true;
}

static bool adopt_growth(Append *append, long long size)
{
    char data[LAST];
    long long growth = size - append->size;
    long long read = growth < LAST ? growth : LAST;
    if (append->size < 0 || growth < SIZE(CHAIN)
        || pread(append->descriptor, data, (size_t)read, size - read) != read)
        return false;
    const char *stop = data + read, *begin = stop - 1;
    while (begin > data && begin[-1] != '\n')
        begin--;
    if (begin == data && read < growth)
        return false; /* the last record is longer */
    /* From the end, so that nothing in the fields can pass for it. */
    Py_ssize_t longest = SIZE(CHAIN) + append->chain.size + SIZE(SEQ) + 18 + SIZE(PREV_HASH)
        + HASH_SIZE + SIZE(HASH) + HASH_SIZE + SIZE(END);
    const char *from = stop - begin > longest ? stop - longest : begin;
    const char *at = stop - SIZE(CHAIN);
    while (at > from && memcmp(at, CHAIN, SIZE(CHAIN)) != 0)
        at--;
    if (stop - begin < SIZE(CHAIN) || !read_ts(begin, stop, &append->last_ns)
        || !read_end(append, at, stop))
        return false;
    append->size = size;
    return true;
}

/* -- looking at the file ------------------------------------------------------------------------ */

static bool is(const struct stat *found, const Identity *identity)
{
    return (unsigned long long)found->st_dev == identity->device
        && (unsigned long long)found->st_ino == identity->inode;
}

bool is_at(int descriptor, const Identity *identity)
{
    struct stat found;
    return fstat(descriptor, &found) == 0 && is(&found, identity);
}

/* `JsonlSink._look`, where it finds nothing new but records. */
static bool looks_the_same(const Append *append, long long size)
{
    struct stat lock, there;
    if (!append->looks || fstat(append->lock_fd, &lock) != 0
        || (long long)lock.st_nlink < append->lock_links
        || !is(&lock, &append->lock_identity) || lstat(append->path, &there) != 0
        || !is(&there, &append->identity) || there.st_size != size)
        return false;
    return !append->lock_path
        || (getpid() == append->pid && lstat(append->lock_path, &there) == 0
            && is(&there, &append->lock_identity) && there.st_size <= LOCK_SIZE);
}

/* Whether the next record belongs at the end of the file. */
static bool at_end(Append *append)
{
    long long age = append->now - append->fresh;
    long long size = lseek(append->descriptor, 0, SEEK_END);
    if (size < 0)
        return false;
    append->grew = size != append->size;
    append->looked = append->grew || age < 0 || age >= append->fresh_ns;
    if (!append->looked)
        return true;
    return looks_the_same(append, size) && (size == append->size || adopt_growth(append, size));
}

/* -- writing ------------------------------------------------------------------------------------ */

static int digit_count(long long number)
{
    int count = 1;
    while (number >= 10) {
        number /= 10;
        count++;
    }
    return count;
}

static void put_hex(char *at, unsigned long long number, int count)
{
    while (count--) {
        at[count] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }
}

/* Make the id, a UUIDv7 (`_clock.Clock`); whether its parts have their sizes. */
static bool make_id(Append *append)
{
    char *at = append->id;
    unsigned long long milli = (unsigned long long)(append->now / MILLION);
    put_hex(at, milli >> 16, 8);
    at[8] = '-';
    put_hex(at + 9, milli & 0xffff, 4);
    at[13] = '-';
    memcpy(at + 14, append->salt.text, SALT_SIZE);
    at[14 + SALT_SIZE] = '-';
    return put_digits(at + 15 + SALT_SIZE, append->number, ID_SIZE - 15 - SALT_SIZE);
}

/* Make the whole line, hash included; false when the file would become too long. */
static bool make_line(Append *append)
{
    int seq_digits = digit_count(append->seq + 1);
    Py_ssize_t body = append->texts_size + HEAD_SIZE + FRACTION + ID_SIZE + seq_digits
        + SIZE(PREV_HASH) + HASH_SIZE + 1;
    append->length = body - 1 + SIZE(HASH) + HASH_SIZE + SIZE(END);
    if (append->length > append->room || append->size + append->length > append->max_bytes)
        return false;
    if (append->second.second != append->now / BILLION)
        begin_second(&append->second, append->now / BILLION);
    char *at = put(append->line, append->second.head, HEAD_SIZE);
    put_digits(at, append->now % BILLION, FRACTION);
    at = put_text(at + FRACTION, append->opening);
    at = put_text(at, append->before);
    at = put_text(at, append->json);
    at = put_text(at, append->before_id);
    at = put(at, append->id, ID_SIZE);
    at = put_text(at, append->end);
    at = put_text(at, append->link);
    put_digits(at, append->seq + 1, seq_digits);
    at = put(at + seq_digits, PREV_HASH, SIZE(PREV_HASH));
    at = put(at, append->hash, HASH_SIZE);
    at = put(at, HASH, SIZE(HASH));
    leaf_hash(append->line, (size_t)body, at);
    memcpy(append->hash, at, HASH_SIZE);
    put(at + HASH_SIZE, END, SIZE(END));
    return true;
}

static bool write_linked(Append *append)
{
    append->now = wall_ns();
    if (append->now < 0 || !at_end(append) || append->now == append->last_ns || !make_id(append)
        || !make_line(append))
        return false;
    ssize_t written = write(append->descriptor, append->line, (size_t)append->length);
    if (written == append->length)
        return true;
    /* Nobody else can have appended: the lock is ours. Should this fail, too, Python finds the tear
     * and declares it. */
    int ignored = written > 0 ? ftruncate(append->descriptor, append->size) : 0;
    (void)ignored;
    return false;
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

bool append_record(Append *append)
{
    append->unlocked = true;
    if (!locked(append->lock_fd))
        return false;
    bool done = write_linked(append);
    append->unlocked = flock(append->lock_fd, LOCK_UN) == 0;
    return done;
}
