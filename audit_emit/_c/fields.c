/* The fields that most events carry: a small flat dict of harmless scalars (`coerce.Normaliser.fast`).
 *
 * What is not surely harmless is left to Python. The rules come from there, as the same tables that
 * it uses, so that there is one definition of what is suspicious. */
#include "speedups.h"

#include <ctype.h>
#include <string.h>

/* What a byte of a text may be. */
enum { MARKED = 1, OF_RUN = 2, OF_DIGITS = 4, BETWEEN = 8, HEX = 16, WORD = 32 };

/* What a keyword that ends at a node means (`keywords.Table`). */
enum { ALONE = 1, ALONE_AT_START = 2, WITH_RUN = 4, WITH_RUN_AT_START = 8 };

static const unsigned char *bytes_of(PyObject *object, Py_ssize_t size)
{
    bool right = PyBytes_CheckExact(object) && (size < 0 || PyBytes_GET_SIZE(object) == size);
    return right ? (const unsigned char *)PyBytes_AS_STRING(object) : NULL;
}

/* Whether the table is whole: a place that it names is one that it has. */
static bool take_keywords(FieldRules *rules)
{
    Keywords *words = &rules->words;
    PyObject *pairs, *classes, *nodes, *ends, *run;
    if (!PyArg_ParseTuple(rules->keywords, "SSnSSS", &pairs, &classes, &words->columns, &nodes,
                          &ends, &run))
        return false;
    words->count = PyBytes_GET_SIZE(ends);
    words->pairs = bytes_of(pairs, 8192);
    words->classes = bytes_of(classes, 256);
    words->ends = bytes_of(ends, -1);
    if (words->columns < 1 || words->columns > 256 || words->count < 1 || words->count > 65536
        || !words->pairs || !words->classes)
        return false;
    words->nodes = (const uint16_t *)bytes_of(
        nodes, words->count * words->columns * (Py_ssize_t)sizeof(uint16_t));
    if (!words->nodes)
        return false;
    for (int byte = 0; byte < 256; byte++)
        if (words->classes[byte] >= words->columns)
            return false;
    for (Py_ssize_t i = 0; i < words->count * words->columns; i++)
        if (words->nodes[i] >= words->count)
            return false;
    for (Py_ssize_t i = 0; i < PyBytes_GET_SIZE(run); i++)
        rules->traits[(unsigned char)PyBytes_AS_STRING(run)[i]] |= OF_RUN;
    return true;
}

bool take_tables(FieldRules *rules, PyObject *kinds, PyObject *digits, int mark)
{
    if (PyBytes_GET_SIZE(kinds) != 256 || PyBytes_GET_SIZE(digits) != 256 || rules->run < 1
        || rules->digit_run < 1)
        return false;
    for (int byte = 0; byte < 256; byte++) {
        int kind = (unsigned char)PyBytes_AS_STRING(kinds)[byte];
        int digit = (unsigned char)PyBytes_AS_STRING(digits)[byte];
        bool hex = byte < 128 && isxdigit(byte);
        rules->traits[byte] = (unsigned char)((kind == mark ? MARKED : 0) | (kind == 'a' ? WORD : 0)
                                              | (digit == '0' ? OF_DIGITS : 0)
                                              | (digit == '.' ? BETWEEN : 0) | (hex ? HEX : 0));
    }
    /* What JSON escapes, and what a name and its value stand between. */
    for (int byte = 0; byte < 32; byte++)
        rules->traits[byte] |= MARKED;
    rules->traits['"'] |= MARKED;
    rules->traits['\\'] |= MARKED;
    rules->traits[':'] |= MARKED;
    return take_keywords(rules);
}

/* Whether `length` bytes with a trait stand together. Looks at every `length`-th byte, and back from
 * there: what is no such run is mostly skipped. */
static bool has_run(const FieldRules *rules, const unsigned char *text, Py_ssize_t size,
                    unsigned trait, int length)
{
    Py_ssize_t clear = 0; /* no run begins before here */
    for (Py_ssize_t at = length - 1; at < size; at = clear + length - 1) {
        Py_ssize_t back = at;
        while (back >= clear && rules->traits[text[back]] & trait)
            back--;
        if (back < clear)
            return true;
        clear = back + 1;
    }
    return false;
}

/* What the keywords that begin at a place mean: a sum of ALONE and so on. */
static unsigned keywords_at(const FieldRules *rules, const unsigned char *text, Py_ssize_t size,
                            Py_ssize_t at)
{
    const Keywords *words = &rules->words;
    unsigned found = 0;
    Py_ssize_t node = 0;
    for (Py_ssize_t i = at; i < size; i++) {
        node = words->nodes[node * words->columns + words->classes[text[i]]];
        if (!node)
            break;
        found |= words->ends[node];
    }
    bool at_start = at == 0 || !(rules->traits[text[at - 1]] & WORD);
    return at_start ? found : found & (ALONE | WITH_RUN);
}

/* The same of a whole text, as far as it decides. */
static unsigned keywords_in(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    unsigned found = 0;
    for (Py_ssize_t i = 0; i + 1 < size && !(found & (ALONE | ALONE_AT_START)); i++) {
        unsigned pair = (unsigned)text[i] << 8 | text[i + 1];
        if (rules->words.pairs[pair >> 3] & 1u << (pair & 7))
            found |= keywords_at(rules, text, size, i);
    }
    return found;
}

/* Whether digits stand together as on a card, in groups of four, or of six, and what is between
 * them. */
static bool has_groups(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    int digits = 0, group = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            group++;
            if (++digits >= rules->digit_run)
                return true;
        }
        else {
            if (!(rules->traits[text[i]] & BETWEEN && (group == 4 || group == 6)))
                digits = 0;
            group = 0;
        }
    }
    return false;
}

static bool all_hex(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    unsigned every = HEX;
    for (Py_ssize_t i = 0; i < size; i++)
        every &= rules->traits[text[i]];
    return every;
}

/* Whether a text is a UUID and nothing else: it may have the digits of a card number, and is none. */
static bool is_uuid(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    return size == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-'
        && all_hex(rules, text, 8) && all_hex(rules, text + 9, 4) && all_hex(rules, text + 14, 4)
        && all_hex(rules, text + 19, 4) && all_hex(rules, text + 24, 12);
}

/* Whether an ASCII text holds nothing that wants a closer look. */
static bool harmless_text(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    unsigned seen = 0;
    for (Py_ssize_t i = 0; i < size; i++)
        seen |= rules->traits[text[i]];
    if (seen & MARKED)
        return false;
    unsigned words = keywords_in(rules, text, size);
    if (words & (ALONE | ALONE_AT_START) || (words && has_run(rules, text, size, OF_RUN, rules->run)))
        return false;
    if (seen & BETWEEN && seen & OF_DIGITS && size > rules->digit_run
        && has_groups(rules, text, size))
        return false;
    return !has_run(rules, text, size, OF_DIGITS, rules->digit_run) || is_uuid(rules, text, size);
}

/* Whether a text may be JSON: what is in it counts, and a number may be written in many ways. */
static bool may_be_json(const unsigned char *text, Py_ssize_t size)
{
    return size && (text[0] == '{' || text[0] == '[');
}

/* -- their JSON ---------------------------------------------------------------------------------- */

/* Fields that are looked at and, as far as that is done here, written. */
typedef struct {
    const FieldRules *rules;
    Json *json;
    long long length; /* of all texts */
    bool whole;       /* whether all of it could be written */
} Walk;

static void add(Walk *walk, const char *text, Py_ssize_t size)
{
    Json *json = walk->json;
    walk->whole = walk->whole && json->text.size + size <= JSON_SPACE;
    if (walk->whole) {
        memcpy(json->space + json->text.size, text, (size_t)size);
        json->text.size += size;
    }
}

static void add_int(Walk *walk, long long number)
{
    char digits[24], *at = digits + sizeof digits;
    unsigned long long left = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        *--at = '-';
    add(walk, at, digits + sizeof digits - at);
}

/* Add one value if it is a harmless scalar. */
static bool add_value(Walk *walk, PyObject *value)
{
    const FieldRules *rules = walk->rules;
    if (PyUnicode_CheckExact(value)) {
        Py_ssize_t size = PyUnicode_GET_LENGTH(value);
        walk->length += size;
        if (walk->length > rules->max_length || !PyUnicode_IS_COMPACT_ASCII(value)
            || may_be_json(PyUnicode_1BYTE_DATA(value), size)
            || !harmless_text(rules, PyUnicode_1BYTE_DATA(value), size))
            return false;
        /* Nothing in it is escaped in JSON: all of that is marked. */
        add(walk, "\"", 1);
        add(walk, (const char *)PyUnicode_1BYTE_DATA(value), size);
        add(walk, "\"", 1);
        return true;
    }
    if (value == Py_None) {
        add(walk, "null", 4);
        return true;
    }
    if (PyBool_Check(value)) {
        add(walk, value == Py_True ? "true" : "false", value == Py_True ? 4 : 5);
        return true;
    }
    if (PyLong_CheckExact(value)) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        add_int(walk, number);
        return !overflow && -rules->max_int < number && number < rules->max_int;
    }
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        walk->whole = false; /* its shortest form is for who knows how */
        return (double)-rules->max_int < number && number < (double)rules->max_int;
    }
    return false;
}

static bool add_members(Walk *walk, PyObject *fields)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    add(walk, "{", 1);
    while (PyDict_Next(fields, &at, &name, &value)) {
        /* The exact type first: hashing another one would run foreign code. */
        if (!PyUnicode_CheckExact(name) || PySet_Contains(walk->rules->vetted, name) != 1
            || !PyUnicode_IS_COMPACT_ASCII(name))
            return false;
        if (walk->json->text.size > 1)
            add(walk, ",", 1);
        /* A name that was vetted has nothing that is escaped. */
        add(walk, "\"", 1);
        add(walk, (const char *)PyUnicode_1BYTE_DATA(name), PyUnicode_GET_LENGTH(name));
        add(walk, "\":", 2);
        if (!add_value(walk, value))
            return false;
    }
    add(walk, "}", 1);
    return true;
}

/* Whether a dict is small, also in the places that it keeps of what was deleted: all of them are
 * walked over. */
static bool is_small(const FieldRules *rules, PyObject *fields)
{
    if (PyDict_GET_SIZE(fields) > rules->max_fields)
        return false;
    PyObject *table = PyObject_CallOneArg(rules->sizeof_dict, fields);
    if (!table)
        return false;
    long long bytes = PyLong_AsLongLong(table);
    Py_DECREF(table);
    return 0 <= bytes && bytes <= rules->max_table;
}

bool harmless_json(const FieldRules *rules, PyObject *fields, Json *json)
{
    Walk walk = {.rules = rules, .json = json, .whole = true};
    json->owner = NULL;
    json->text = (Text){json->space, 0};
    if (!PyDict_CheckExact(fields) || !is_small(rules, fields) || !add_members(&walk, fields))
        return false;
    if (walk.whole)
        return true;
    /* Nothing ran since that could have changed the dict: what was looked at is what is encoded. */
    json->owner = PyObject_CallOneArg(rules->encode, fields);
    if (json->owner && PyBytes_CheckExact(json->owner)) {
        json->text = (Text){PyBytes_AS_STRING(json->owner), PyBytes_GET_SIZE(json->owner)};
        return true;
    }
    Py_CLEAR(json->owner);
    return false;
}
