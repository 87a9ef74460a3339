/* `encode_plain`: the JSON of a plain Python value, where nothing in it wants a closer look.
 *
 * What a text must not hold, and which characters mean what, stands in the tables of
 * `_redaction/table.py`, which are made from the rules. Without a helper no Python code runs between
 * the first look and the last, so what was looked at is what is written. With one, which judges what
 * is not known yet, every container is copied before it is read. */
#include "leaf.h"

/* What a character may be (`table.Kind`). */
enum { ESCAPED = 1, BEGINS = 2, OF_RUN = 4, WORD = 8, DIGIT = 16, BETWEEN = 32, OPTION = 64 };

/* How a keyword counts (`keywords`), in the lowest bits of what it means; above them, a bit for each
 * group of rules (`table.FIRST_GROUP`). */
enum { ALONE = 1, ALONE_AT_START = 2, WITH_RUN = 4, WITH_RUN_AT_START = 8 };

/* What is known of a letter beyond ASCII (`letters.py`); all others are columns of the folded words. */
enum { UNKNOWN = 0, LETTER = 1, OTHER = 2, LOOK = 255 };

/* The methods of a helper, and what a value of a person has its own in (`plain.ASKED`). */
enum { NAME, LETTERS, TEXT, TELLS, OTHER_VALUE, WRAPPED, METHODS };

/* What is known of a name (`plain.Name`). */
enum { HARMLESS = 1, BESIDE = 2, SECRET = 3 };

typedef struct {
    const unsigned char *classes; /* of an ASCII character: its column in `nodes`, or 0 */
    const uint16_t *nodes;        /* rows of `columns`: the next node, or 0 */
    const uint32_t *ends;         /* of a node: what a keyword means that ends there */
    Py_ssize_t columns;
    Py_ssize_t count; /* of nodes */
} Words;

typedef struct {
    PyObject *given; /* the tuple that the pointers point into */
    Words exact, folded;
    /* of ASCII characters: a bit for each two that a keyword begins with, for each two that are one
     * or begin with one, for the hash of each three that one begins with */
    const unsigned char *pairs, *shorts, *triples;
    const uint32_t *marks; /* of an ASCII character: the groups that it is a mark of */
    const unsigned char *kinds;
    Py_buffer letters;     /* a byte for each character below 0x20000 */
    unsigned int always;   /* groups that ask for no mark */
    unsigned int telling;  /* groups whose keywords may say what stands beside a text */
    unsigned int naming;   /* groups whose keywords are parts of names */
    int run, digit_run;
    Py_ssize_t max_bytes, max_text, max_items, max_depth, max_table;
    long long max_int;
    PyObject *encode, *sizeof_dict, *subject, *methods;
} Table;

/* What may be left out of one payload; where there is more, it takes the full way. */
#define MOST_HELD 16

typedef struct {
    const Table *table;
    PyObject *names;  /* dict: name -> what is known of it */
    PyObject *helper; /* or NULL */
    char *out;
    Py_ssize_t size, room;
    char *owned; /* `out` when it is not on the stack */
    int items;
    bool beside;  /* whether a value stands beside others that may say what it is */
    bool telling; /* whether a text says what another may be */
    bool may_tell;
    bool asks;    /* whether a helper would have helped */
    int held;     /* how many values are left out */
    PyObject *values[MOST_HELD];
    Py_ssize_t places[MOST_HELD]; /* of each, in `out` */
} Plain;

#define START 2048

static const char HEX[] = "0123456789abcdef";

static bool grow(Plain *plain, Py_ssize_t more)
{
    Py_ssize_t needed = plain->size + more;
    if (needed > plain->table->max_bytes)
        return false;
    Py_ssize_t room = plain->table->max_bytes;
    char *bigger = PyMem_Realloc(plain->owned, (size_t)room);
    if (!bigger)
        return false;
    if (!plain->owned)
        memcpy(bigger, plain->out, (size_t)plain->size);
    plain->out = plain->owned = bigger;
    plain->room = room;
    return true;
}

static inline bool fits(Plain *plain, Py_ssize_t more)
{
    return plain->size + more <= plain->room || grow(plain, more);
}

static bool put(Plain *plain, const char *text, Py_ssize_t size)
{
    if (!fits(plain, size))
        return false;
    memcpy(plain->out + plain->size, text, (size_t)size);
    plain->size += size;
    return true;
}

static inline bool put_char(Plain *plain, char c)
{
    if (!fits(plain, 1))
        return false;
    plain->out[plain->size++] = c;
    return true;
}

/* Write a text in quotes, where it is known whether something in it may need an escape. A lone
 * surrogate is an error; what takes more bytes than a text may is for the full way. */
static bool put_string(Plain *plain, PyObject *text, bool escaped)
{
    if (!escaped && PyUnicode_IS_COMPACT_ASCII(text))
        return put_char(plain, '"') && put(plain, PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
            && put_char(plain, '"');
    PyObject *utf8 = PyUnicode_AsUTF8String(text);
    if (!utf8 || !fits(plain, 6 * PyBytes_GET_SIZE(utf8) + 2)) {
        Py_XDECREF(utf8);
        return false;
    }
    char *at = plain->out + plain->size;
    *at++ = '"';
    for (Py_ssize_t i = 0; i < PyBytes_GET_SIZE(utf8); i++) {
        unsigned char c = (unsigned char)PyBytes_AS_STRING(utf8)[i];
        if (c < 0x20 || c == 0x7f) {
            memcpy(at, "\\u00", 4);
            at[4] = HEX[c >> 4];
            at[5] = HEX[c & 15];
            at += 6;
            continue;
        }
        if (c == '"' || c == '\\')
            *at++ = '\\';
        *at++ = (char)c;
    }
    *at++ = '"';
    Py_ssize_t written = at - plain->out - plain->size - 2;
    plain->size = at - plain->out;
    Py_DECREF(utf8);
    return written <= 2 * plain->table->max_text;
}

static bool put_int(Plain *plain, long long number)
{
    char digits[DIGITS + 1] = "-";
    char *end = put_decimal(digits + 1, number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number);
    return put(plain, digits + (number >= 0), end - digits - (number >= 0));
}

/* What a method of the helper says; NULL, without an exception, where there is none to ask. */
static PyObject *ask(Plain *plain, int method, PyObject *argument)
{
    plain->asks |= !plain->helper;
    return plain->helper ? PyObject_CallMethodOneArg(plain->helper, PyTuple_GET_ITEM(plain->table->methods, method),
                                                     argument)
                         : NULL;
}

/* What is found in a text. */
typedef struct {
    uint32_t found; /* what its keywords mean */
    uint32_t seen;  /* the groups that it has marks of */
    unsigned kinds; /* of all its ASCII characters */
    bool digits;
    bool look; /* whether a character wants it */
} Scan;

static bool has_run(const Table *table, PyObject *text)
{
    int run = 0, kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(text); i++) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        run = c < 128 && table->kinds[c] & OF_RUN ? run + 1 : 0;
        if (run >= table->run)
            return true;
    }
    return false;
}

static inline unsigned meaning_of(const Table *table, Py_UCS4 c)
{
    return c < (Py_UCS4)table->letters.len ? ((const unsigned char *)table->letters.buf)[c] : LOOK;
}

static inline unsigned column_of(const Table *table, const Words *words, Py_UCS4 c)
{
    if (c < 128)
        return words->classes[c];
    unsigned column = words == &table->exact ? LOOK : meaning_of(table, c);
    return column > OTHER && column < LOOK ? column : 0;
}

/* What the keywords mean that begin at a place. */
static uint32_t words_at(const Table *table, const Words *words, int width, const void *data,
                         Py_ssize_t size, Py_ssize_t at)
{
    uint32_t found = 0;
    Py_ssize_t node = 0;
    for (Py_ssize_t i = at; i < size; i++) {
        unsigned column = column_of(table, words, PyUnicode_READ(width, data, i));
        node = words->nodes[node * words->columns + column];
        if (!node)
            break;
        found |= words->ends[node];
    }
    return found;
}

static uint32_t keywords_at(const Table *table, int width, const void *data, Py_ssize_t size,
                            Py_ssize_t at)
{
    uint32_t found = words_at(table, &table->exact, width, data, size, at);
    if (found & (ALONE_AT_START | WITH_RUN_AT_START)) {
        Py_UCS4 before = at ? PyUnicode_READ(width, data, at - 1) : 0;
        if (before < 128 && table->kinds[before] & WORD)
            found &= ~(uint32_t)(ALONE_AT_START | WITH_RUN_AT_START);
    }
    return found | words_at(table, &table->folded, width, data, size, at);
}

static inline bool has_bit(const unsigned char *bits, unsigned at)
{
    return bits[at >> 3] & 1u << (at & 7);
}

/* Whether a keyword may begin with three ASCII characters, or be the first one or two of them. */
static inline bool begins_keyword(const Table *table, unsigned a, unsigned b, unsigned c)
{
    unsigned pair = a << 7 | b;
    return has_bit(table->pairs, pair)
        && (has_bit(table->shorts, pair) || has_bit(table->triples, (pair << 1 ^ c * 259) & 0x7fff));
}

/* Look at each character once. Every str ends with a zero, so that there is always a second one. */
static inline void scan_text(const Table *table, int width, bool ascii, const void *data, Py_ssize_t size,
                             Scan *scan)
{
    int digits = 0, most = 0;
    Scan here = {0};
    for (Py_ssize_t i = 0; i < size; i++) {
        Py_UCS4 a = PyUnicode_READ(width, data, i), b = PyUnicode_READ(width, data, i + 1);
        Py_UCS4 c = b ? PyUnicode_READ(width, data, i + 2) : 0;
        bool begins;
        if (ascii || a < 128) {
            unsigned kind = table->kinds[a];
            here.kinds |= kind;
            here.seen |= table->marks[a];
            digits = kind & DIGIT ? digits + 1 : kind & BETWEEN ? digits : 0;
            begins = (!ascii && (b | c) >= 128) || begins_keyword(table, a, b, c);
        }
        else {
            unsigned meaning = meaning_of(table, a);
            here.look |= meaning == LOOK || meaning == UNKNOWN;
            digits = meaning == OTHER ? digits + 1 : 0;
            begins = meaning > OTHER && meaning < LOOK;
        }
        most = digits > most ? digits : most;
        if (begins)
            here.found |= keywords_at(table, width, data, size, i);
    }
    here.digits = most >= table->digit_run;
    *scan = here;
}

/* Whether every character is known: the words are looked for only then. */
static bool knows_letters(Plain *plain, PyObject *text)
{
    int width = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(text); i++) {
        Py_UCS4 c = PyUnicode_READ(width, data, i);
        if (c >= 128 && meaning_of(plain->table, c) == UNKNOWN) {
            PyObject *said = ask(plain, LETTERS, text); /* who learns all of them */
            Py_XDECREF(said);
            return said != NULL;
        }
    }
    return true;
}

static bool wants_a_look(const Table *table, const Scan *scan, unsigned first, PyObject *text)
{
    return scan->look || scan->digits || first & BEGINS || scan->found & (ALONE | ALONE_AT_START)
        || scan->found & table->always || scan->found & scan->seen
        || (scan->found & (WITH_RUN | WITH_RUN_AT_START) && has_run(table, text));
}

/* Whether it is known if a text is the name of a secret: without a helper, it may be one. */
static bool tells(Plain *plain, PyObject *text)
{
    if (!plain->helper) {
        plain->may_tell = true;
        return true;
    }
    PyObject *said = ask(plain, TELLS, text);
    plain->telling = said != Py_False;
    Py_XDECREF(said);
    return said != NULL;
}

static bool add_text(Plain *plain, PyObject *text);

/* Leave out a value, and remember where: what stands there is Python's to say, when all is looked at. */
static bool leave_out(Plain *plain, PyObject *value)
{
    if (plain->held == MOST_HELD)
        return false;
    plain->places[plain->held] = plain->size;
    plain->values[plain->held++] = Py_NewRef(value);
    return true;
}

/* Write what the helper makes of a value: JSON, or a text. A tuple is a text with what is secret in it
 * held back: it is left out like a value that its name holds back, and Python puts it there. What it may
 * say of others beside it is for the full way. */
static bool add_said(Plain *plain, int method, PyObject *value)
{
    PyObject *said = ask(plain, method, value);
    bool done = false;
    if (said && PyBytes_CheckExact(said))
        done = put(plain, PyBytes_AS_STRING(said), PyBytes_GET_SIZE(said));
    else if (said && PyUnicode_CheckExact(said))
        done = add_text(plain, said);
    else if (said && PyTuple_Check(said)) {
        plain->telling = true;
        done = leave_out(plain, said);
    }
    Py_XDECREF(said);
    return done;
}

/* Write a text if it is harmless. */
static bool add_text(Plain *plain, PyObject *text)
{
    const Table *table = plain->table;
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    if (size > table->max_text)
        return false;
    Scan scan = {0};
    if (PyUnicode_IS_COMPACT_ASCII(text))
        scan_text(table, PyUnicode_1BYTE_KIND, true, PyUnicode_DATA(text), size, &scan);
    else if (knows_letters(plain, text))
        scan_text(table, PyUnicode_KIND(text), false, PyUnicode_DATA(text), size, &scan);
    else
        return false;
    Py_UCS4 start = size ? PyUnicode_READ_CHAR(text, 0) : 0;
    unsigned first = start < 128 ? table->kinds[start] : 0;
    plain->telling |= scan.look || first & OPTION || scan.found & table->telling;
    if (scan.found & table->naming && !plain->telling && !tells(plain, text))
        return false;
    if (wants_a_look(table, &scan, first, text))
        return add_said(plain, TEXT, text);
    return put_string(plain, text, scan.kinds & ESCAPED);
}

static bool add_value(Plain *plain, PyObject *value, int depth);

static bool add_float(Plain *plain, PyObject *value)
{
    double number = PyFloat_AS_DOUBLE(value), most = (double)plain->table->max_int;
    if (!(-most < number && number < most))
        return add_said(plain, OTHER_VALUE, value);
    PyObject *json = PyObject_CallOneArg(plain->table->encode, value);
    bool done = json && PyBytes_CheckExact(json)
        && put(plain, PyBytes_AS_STRING(json), PyBytes_GET_SIZE(json));
    Py_XDECREF(json);
    return done;
}

static bool add_sequence(Plain *plain, PyObject *given, int depth)
{
    PyObject *items = given;
    if (plain->helper && PyList_CheckExact(given) && !(items = PyList_AsTuple(given)))
        return false;
    Py_ssize_t count = Py_SIZE(items);
    bool done = count <= plain->table->max_items && put_char(plain, '[');
    for (Py_ssize_t i = 0; done && i < count; i++) {
        PyObject *item = PyTuple_CheckExact(items) ? PyTuple_GET_ITEM(items, i) : PyList_GET_ITEM(items, i);
        done = (!i || put_char(plain, ',')) && add_value(plain, item, depth);
    }
    plain->beside = true;
    if (items != given)
        Py_DECREF(items);
    return done && put_char(plain, ']');
}

/* What is known of a name; 0 when that is not yet known, or the event needs the full way. */
static long known_name(Plain *plain, PyObject *name)
{
    /* The exact type first: hashing another one would run foreign code. */
    if (!PyUnicode_CheckExact(name))
        return 0;
    PyObject *known = PyDict_GetItemWithError(plain->names, name);
    if (known)
        return PyLong_AsLong(known);
    if (PyErr_Occurred())
        return 0;
    known = ask(plain, NAME, name);
    long judged = known ? PyLong_AsLong(known) : 0;
    Py_XDECREF(known);
    return judged;
}

/* Write a value of a person, between what it stood in and its name: it is looked at like any other, and
 * Python seals what is between them. */
static bool add_sealed(Plain *plain, PyObject *name, PyObject *subject)
{
    /* Not what a class has for an attribute that is missing: that runs while a dict is gone through. */
    PyObject *value = PyObject_GenericGetAttr(subject, PyTuple_GET_ITEM(plain->table->methods, WRAPPED));
    if (!value)
        PyErr_Clear();
    int held = plain->held + 1;
    bool done = value && leave_out(plain, subject) && add_value(plain, value, 1) && plain->held == held
        && leave_out(plain, name);
    Py_XDECREF(value);
    return done;
}

static bool add_member(Plain *plain, PyObject *name, PyObject *value, int depth)
{
    long known = known_name(plain, name);
    if (known < HARMLESS || known > SECRET)
        return false;
    /* A name that was judged has nothing that JSON escapes. */
    if (!put_string(plain, name, false) || !put_char(plain, ':'))
        return false;
    plain->beside |= known == BESIDE;
    if (known == SECRET)
        return PyUnicode_CheckExact(value) && leave_out(plain, value);
    return depth == 1 && (PyObject *)Py_TYPE(value) == plain->table->subject ? add_sealed(plain, name, value)
                                                                             : add_value(plain, value, depth);
}

/* Whether a dict is small, also in the places that it keeps of what was deleted: all of them are
 * walked over. */
static bool is_small(const Table *table, PyObject *fields)
{
    if (PyDict_GET_SIZE(fields) > table->max_items)
        return false;
    PyObject *size = PyObject_CallOneArg(table->sizeof_dict, fields);
    Py_ssize_t bytes = size ? PyLong_AsSsize_t(size) : -1;
    Py_XDECREF(size);
    return 0 <= bytes && bytes <= table->max_table;
}

static bool add_dict(Plain *plain, PyObject *given, int depth)
{
    if (!is_small(plain->table, given))
        return false;
    PyObject *fields = plain->helper ? PyDict_Copy(given) : Py_NewRef(given);
    PyObject *name, *value;
    Py_ssize_t at = 0;
    bool done = fields && put_char(plain, '{');
    for (bool first = true; done && PyDict_Next(fields, &at, &name, &value); first = false)
        done = (first || put_char(plain, ',')) && add_member(plain, name, value, depth);
    Py_XDECREF(fields);
    return done && put_char(plain, '}');
}

static bool add_value(Plain *plain, PyObject *value, int depth)
{
    const Table *table = plain->table;
    if (++plain->items > table->max_items)
        return false;
    if (PyUnicode_CheckExact(value))
        return add_text(plain, value);
    if (value == Py_None)
        return put(plain, "null", 4);
    if (PyBool_Check(value))
        return value == Py_True ? put(plain, "true", 4) : put(plain, "false", 5);
    if (PyLong_CheckExact(value)) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow || number <= -table->max_int || number >= table->max_int)
            return add_said(plain, OTHER_VALUE, value);
        return put_int(plain, number);
    }
    if (PyFloat_CheckExact(value))
        return add_float(plain, value);
    bool is_dict = PyDict_CheckExact(value);
    if (!is_dict && !PyList_CheckExact(value) && !PyTuple_CheckExact(value))
        return add_said(plain, OTHER_VALUE, value);
    if (depth >= table->max_depth)
        return false;
    return is_dict ? add_dict(plain, value, depth + 1) : add_sequence(plain, value, depth + 1);
}

/* The text between what is left out, and that: a list of both in turn, which begins and ends with text. */
static PyObject *pieces_of(Plain *plain)
{
    PyObject *pieces = PyList_New(2 * plain->held + 1);
    Py_ssize_t begin = 0;
    for (int i = 0; pieces && i <= plain->held; i++) {
        Py_ssize_t end = i < plain->held ? plain->places[i] : plain->size;
        PyObject *text = PyUnicode_DecodeUTF8(plain->out + begin, end - begin, NULL);
        if (i < plain->held)
            PyList_SET_ITEM(pieces, 2 * i + 1, Py_NewRef(plain->values[i]));
        if (text)
            PyList_SET_ITEM(pieces, 2 * i, text);
        else
            Py_CLEAR(pieces);
        begin = end;
    }
    return pieces;
}

static PyObject *encode_plain(PyObject *capsule, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyDict_CheckExact(args[1]))
        return PyErr_Format(PyExc_TypeError, "encode_plain() takes fields, names and a helper");
    char space[START];
    Plain plain = {
        .table = PyCapsule_GetPointer(capsule, NULL),
        .names = args[1],
        .helper = args[2] == Py_None ? NULL : args[2],
        .out = space,
        .room = START,
    };
    PyObject *made = NULL;
    bool done = PyDict_CheckExact(args[0]) && add_dict(&plain, args[0], 1)
        && !(plain.beside && (plain.telling || plain.may_tell));
    plain.asks |= plain.beside && plain.may_tell && !plain.telling;
    if (done)
        made = plain.held ? pieces_of(&plain) : PyUnicode_DecodeUTF8(plain.out, plain.size, NULL);
    for (int i = 0; i < plain.held; i++)
        Py_DECREF(plain.values[i]);
    PyMem_Free(plain.owned);
    if (made || PyErr_Occurred())
        return made;
    return plain.asks && !plain.helper ? Py_NewRef(Py_False) : Py_NewRef(Py_None);
}

static const void *bytes_of(PyObject *object, Py_ssize_t size)
{
    return PyBytes_GET_SIZE(object) == size ? PyBytes_AS_STRING(object) : NULL;
}

/* Whether the words are whole: a place that they name is one that they have. */
static bool take_words(Words *words, PyObject *classes, PyObject *nodes, PyObject *ends)
{
    words->classes = bytes_of(classes, 128);
    words->count = PyBytes_GET_SIZE(ends) / (Py_ssize_t)sizeof(uint32_t);
    words->ends = bytes_of(ends, words->count * (Py_ssize_t)sizeof(uint32_t));
    if (!words->classes || !words->ends || words->columns < 1 || words->columns > 256
        || words->count < 1 || words->count > 65536)
        return false;
    words->nodes = bytes_of(nodes, words->count * words->columns * (Py_ssize_t)sizeof(uint16_t));
    if (!words->nodes)
        return false;
    for (int i = 0; i < 128; i++)
        if (words->classes[i] >= words->columns)
            return false;
    for (Py_ssize_t i = 0; i < words->count * words->columns; i++)
        if (words->nodes[i] >= words->count)
            return false;
    return true;
}

static bool take_all(Table *self, PyObject *args)
{
    PyObject *bytes[11];
    if (!PyArg_ParseTuple(args, "SnSSSnSSSSSSSy*IIIiinnnnnLOOOO!", &bytes[0], &self->exact.columns, &bytes[1],
                          &bytes[2], &bytes[3], &self->folded.columns, &bytes[4], &bytes[5], &bytes[6],
                          &bytes[7], &bytes[8], &bytes[9], &bytes[10], &self->letters, &self->always,
                          &self->telling, &self->naming, &self->run, &self->digit_run, &self->max_bytes,
                          &self->max_text, &self->max_items, &self->max_depth, &self->max_table,
                          &self->max_int, &self->encode, &self->sizeof_dict, &self->subject, &PyTuple_Type,
                          &self->methods))
        return false;
    self->given = Py_NewRef(args);
    self->pairs = bytes_of(bytes[6], 2048);
    self->shorts = bytes_of(bytes[7], 2048);
    self->triples = bytes_of(bytes[8], 4096);
    self->marks = bytes_of(bytes[9], 128 * sizeof(uint32_t));
    self->kinds = bytes_of(bytes[10], 128);
    if (take_words(&self->exact, bytes[0], bytes[1], bytes[2])
        && take_words(&self->folded, bytes[3], bytes[4], bytes[5]) && self->pairs && self->shorts
        && self->triples && self->marks && self->kinds && self->folded.columns < LOOK
        && PyTuple_GET_SIZE(self->methods) == METHODS && self->max_depth < 64 && self->max_bytes > START && self->run > 0 && self->digit_run > 0)
        return true;
    PyErr_SetString(PyExc_TypeError, "a table has not the form it must have");
    return false;
}

static void free_table(PyObject *capsule)
{
    Table *table = PyCapsule_GetPointer(capsule, NULL);
    PyBuffer_Release(&table->letters);
    Py_XDECREF(table->given);
    PyMem_Free(table);
}

static PyMethodDef encoder = {
    "encode_plain", (PyCFunction)(void (*)(void))encode_plain, METH_FASTCALL,
    "encode_plain(fields, names, helper, /)\n--\n\n"
    "The JSON of a dict of plain values, in pieces around those that names hold back, or a person's; "
    "False when a helper could tell, else None."};

PyObject *py_encoder(PyObject *Py_UNUSED(module), PyObject *args)
{
    Table *table = PyMem_Calloc(1, sizeof *table);
    PyObject *function = NULL, *capsule = table ? PyCapsule_New(table, NULL, free_table) : PyErr_NoMemory();
    if (!capsule)
        PyMem_Free(table);
    else if (take_all(table, args))
        function = PyCFunction_New(&encoder, capsule);
    Py_XDECREF(capsule);
    return function;
}
