/* A block of records, and what a table keeps beside each: does every copy say what its line says? What
 * who verifies rows takes almost all of them for (`_readers/postgres/copies.py`).
 *
 * A line is read here only as this library writes it, and where a copied text has neither escapes nor
 * more bytes than a copy has characters. Of any other line nothing is said: Python looks at it. */
#include "leaf.h"

#define TEXTS 5      /* ts, event_type, workspace_id, user_id, correlation_id */
#define COPIED 1024  /* bytes of a copied text at most: `rows.COPIED` is in characters */
#define CHAIN_SIZE 16
#define SEQ_DIGITS 19

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* What is left of a text. */
typedef struct {
    const char *at, *stop;
} Rest;

/* The columns that are left to compare: of a fixed size each, and texts with newlines between them. */
typedef struct {
    Rest numbers, ids, hashes, texts[TEXTS];
} Columns;

ALWAYS_INLINE bool skip(Rest *rest, const char *text, size_t size)
{
    if ((size_t)(rest->stop - rest->at) < size || memcmp(rest->at, text, size) != 0)
        return false;
    rest->at += size;
    return true;
}

#define SKIP(rest, literal) skip(rest, literal, sizeof literal - 1)

/* Pass so many bytes: whether they are digits, who looks at the links says. */
static bool skip_any(Rest *rest, size_t size)
{
    if ((size_t)(rest->stop - rest->at) < size)
        return false;
    rest->at += size;
    return true;
}

/* The text up to the next quote, which is not passed; NULL where it has an escape or a control. */
ALWAYS_INLINE const char *plain_text(Rest *rest)
{
    const char *begin = rest->at;
    for (; rest->at < rest->stop; rest->at++) {
        unsigned char one = (unsigned char)*rest->at;
        if (one == '"')
            return rest->at - begin <= COPIED ? begin : NULL;
        if (one == '\\' || one < 0x20)
            return NULL;
    }
    return NULL;
}

/* Whether the next text of a line is the next one of a column. */
ALWAYS_INLINE bool same_text(Rest *line, Rest *column, bool last)
{
    const char *begin = plain_text(line);
    if (!begin || !skip(column, begin, (size_t)(line->at - begin)))
        return false;
    return last ? column->at == column->stop : SKIP(column, "\n");
}

/* Pass a JSON object, whatever is in it: its braces and brackets are counted, its texts are not. */
static bool skip_object(Rest *line)
{
    size_t depth = 0;
    for (; line->at < line->stop; line->at++) {
        char one = *line->at;
        if (one == '{' || one == '[') {
            depth++;
        } else if (one == '}' || one == ']') {
            if (depth <= 1) {
                line->at++;
                return depth == 1;
            }
            depth--;
        } else if (one == '"') {
            size_t escapes;
            do {
                line->at = memchr(line->at + 1, '"', (size_t)(line->stop - line->at - 1));
                if (!line->at)
                    return false;
                for (escapes = 0; line->at[-1 - (Py_ssize_t)escapes] == '\\'; escapes++)
                    ;
            } while (escapes % 2);
        }
    }
    return false;
}

/* Whether the next hex digits of a line are the next bytes of a column; at most a hash. */
static bool same_bytes(Rest *line, Rest *column, size_t size)
{
    char hex[HASH_SIZE];
    if ((size_t)(column->stop - column->at) < size)
        return false;
    put_hex(hex, (const unsigned char *)column->at, size);
    column->at += size;
    return skip(line, hex, 2 * size);
}

static bool same_id(Rest *line, Rest *column)
{
    return same_bytes(line, column, 4) && SKIP(line, "-") && same_bytes(line, column, 2)
        && SKIP(line, "-") && same_bytes(line, column, 2) && SKIP(line, "-")
        && same_bytes(line, column, 2) && SKIP(line, "-") && same_bytes(line, column, 6);
}

static bool same_number(Rest *line, Rest *column)
{
    unsigned long long number = 0, stated = 0;
    const char *begin = line->at;
    while (line->at < line->stop && *line->at >= '0' && *line->at <= '9')
        number = number * 10 + (unsigned long long)(*line->at++ - '0');
    if (line->at - begin > SEQ_DIGITS || *begin == '0' || column->stop - column->at < 8)
        return false;
    for (int i = 0; i < 8; i++)
        stated = stated << 8 | (unsigned char)*column->at++;
    return line->at > begin && number == stated;
}

/* Whether a line without its newline says what the next row of the columns does. */
static bool same_row(Rest *line, Columns *columns, bool last)
{
    Rest *texts = columns->texts;
    if (!SKIP(line, "{\"ts\":\"") || !same_text(line, &texts[0], last)
        || !SKIP(line, "\",\"event_type\":\"") || !same_text(line, &texts[1], last)
        || !SKIP(line, "\",\"workspace_id\":\"") || !same_text(line, &texts[2], last)
        || !SKIP(line, "\",\"user_id\":\"") || !same_text(line, &texts[3], last)
        || !SKIP(line, "\",\"actor_kind\":\"") || !plain_text(line)
        || !SKIP(line, "\",\"correlation_id\":\"") || !same_text(line, &texts[4], last)
        || !SKIP(line, "\",\"fields\":") || line->at == line->stop || *line->at != '{'
        || !skip_object(line) || !SKIP(line, ",\"v\":1,\"id\":\"")
        || !same_id(line, &columns->ids) || !SKIP(line, "\",\"service\":\"") || !plain_text(line))
        return false;
    if (SKIP(line, "\",\"trace_id\":\"")
        && (!plain_text(line) || !SKIP(line, "\",\"span_id\":\"") || !plain_text(line)))
        return false;
    return SKIP(line, "\",\"chain\":\"") && skip_any(line, CHAIN_SIZE) && SKIP(line, "\",\"seq\":")
        && same_number(line, &columns->numbers) && SKIP(line, ",\"prev_hash\":\"")
        && skip_any(line, HASH_SIZE) && SKIP(line, "\",\"hash\":\"")
        && same_bytes(line, &columns->hashes, HASH_SIZE / 2) && SKIP(line, "\"}")
        && line->at == line->stop;
}

static bool same_rows(Rest block, Columns columns)
{
    while (block.at < block.stop) {
        const char *newline = memchr(block.at, '\n', (size_t)(block.stop - block.at));
        if (!newline)
            return false;
        Rest line = {block.at, newline};
        block.at = newline + 1;
        if (!same_row(&line, &columns, block.at == block.stop))
            return false;
    }
    return columns.numbers.at == columns.numbers.stop && columns.ids.at == columns.ids.stop
        && columns.hashes.at == columns.hashes.stop;
}

static Rest rest_of(const Py_buffer *given)
{
    return (Rest){given->buf, (const char *)given->buf + given->len};
}

PyObject *py_copied(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer given[4 + TEXTS];
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*y*y*:copied", &given[0], &given[1], &given[2],
                          &given[3], &given[4], &given[5], &given[6], &given[7], &given[8]))
        return NULL;
    Columns columns = {rest_of(&given[1]), rest_of(&given[2]), rest_of(&given[3]), {{0}}};
    for (int i = 0; i < TEXTS; i++)
        columns.texts[i] = rest_of(&given[4 + i]);
    bool found = given[0].len > 0 && same_rows(rest_of(&given[0]), columns);
    for (int i = 0; i < 4 + TEXTS; i++)
        PyBuffer_Release(&given[i]);
    return PyBool_FromLong(found);
}
