/* A line on standard output: `Descriptor.write`, where all is as it usually is. */
#include "speedups.h"

#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

bool may_show(Show *show, const DescriptorState *sink, long long recheck_ns)
{
    struct timespec now;
    if (!sink->prefix || !PyBytes_CheckExact(sink->prefix) || !sink->owed
        || !PyBytes_CheckExact(sink->owed) || PyBytes_GET_SIZE(sink->owed) || sink->asks
        || sink->dup < 0 || PyBytes_GET_SIZE(sink->prefix) > MAX_PREFIX)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    show->descriptor = sink->dup;
    show->nowait = sink->nowait;
    show->max_bytes = sink->max_bytes;
    show->prefix = (Text){PyBytes_AS_STRING(sink->prefix), PyBytes_GET_SIZE(sink->prefix)};
    return now.tv_sec * BILLION + now.tv_nsec - sink->checked <= recheck_ns;
}

bool show_line(Show *show, const char *data, Py_ssize_t length)
{
    if (length > show->max_bytes)
        return false;
#ifdef RWF_NOWAIT
    if (show->nowait) {
        struct iovec whole = {(void *)data, (size_t)length};
        show->written = pwritev2(show->descriptor, &whole, 1, -1, RWF_NOWAIT);
        return show->written >= 0;
    }
#endif
    show->written = write(show->descriptor, data, (size_t)length);
    return show->written >= 0;
}

void remember_shown(const Show *show, DescriptorState *sink, const char *data, Py_ssize_t length,
                    PyObject *line)
{
    become(&sink->fault, same(Py_None));
    become(&sink->last, same(line));
    if (show->written == length)
        return;
    /* What is begun must be ended, or the next line would be glued to it. */
    PyObject *rest = PyBytes_FromStringAndSize(data + show->written, length - show->written);
    if (rest)
        become(&sink->owed, rest);
    else
        PyErr_Clear();
}
