/* Logs, in order, everything that a process does to the files of one folder that a power failure
 * could lose. Loaded with LD_PRELOAD; WRITE_LOG_FOLDER names the folder, WRITE_LOG the log.
 *
 * One record: kind u32 · is_sync u32 · path bytes u32 · second path bytes u32 · offset u64 ·
 * length u64 · path · second path · data, all in the machine's byte order. is_sync: the
 * descriptor is O_SYNC or O_DSYNC, so the write is on disk when the call returns. A sync is logged
 * after it returned. One lock around call and record: the order of the log is the true one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, SYNC, CREATE, RENAME, UNLINK, MKDIR, MAPPED_FOR_WRITING };

#define FDS_MAX 4096
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char *paths[FDS_MAX]; /* of the descriptors that are watched */
static int is_sync[FDS_MAX];
static char folder[PATH_MAX];
static int log_fd = -1;

__attribute__((constructor)) static void start(void) {
    const char *watched = getenv("WRITE_LOG_FOLDER"), *log = getenv("WRITE_LOG");
    if (!watched || !log || !realpath(watched, folder)) return;
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length) {
        ssize_t done = syscall(SYS_write, log_fd, at, length);
        if (done <= 0) abort();
        at += done, length -= done;
    }
}

static void record(uint32_t kind, uint32_t sync, const char *path, const char *second,
                   uint64_t offset, uint64_t length) {
    uint32_t words[4] = {kind, sync, strlen(path), second ? strlen(second) : 0};
    uint64_t numbers[2] = {offset, length};
    put(words, sizeof words), put(numbers, sizeof numbers);
    put(path, words[2]), put(second ? second : "", words[3]);
}

static const char *watched(int fd) {
    return log_fd >= 0 && fd >= 0 && fd < FDS_MAX ? paths[fd] : NULL;
}

static int resolve(const char *path, char *full) { /* also of what does not exist yet */
    if (log_fd < 0) return 0;
    char copy[PATH_MAX];
    strncpy(copy, path, sizeof copy - 1), copy[sizeof copy - 1] = 0;
    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy;
    if (slash) *slash = 0;
    if (!realpath(slash ? (*copy ? copy : "/") : ".", full)) return 0;
    if (*name && strcmp(name, ".")) strcat(full, "/"), strcat(full, name);
    size_t length = strlen(folder);
    return !strncmp(full, folder, length) && (!full[length] || full[length] == '/');
}

static int do_open(int at, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX * 2];
    int saved = errno, ours = at == AT_FDCWD && resolve(path, full);
    errno = saved;
    if (!ours) return syscall(SYS_openat, at, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat before;
    int is_new = (flags & O_CREAT) && stat(full, &before) != 0;
    int fd = syscall(SYS_openat, at, path, flags, mode);
    saved = errno;
    if (fd >= 0 && fd < FDS_MAX) {
        free(paths[fd]);
        paths[fd] = strdup(full);
        is_sync[fd] = (flags & O_DSYNC) != 0; /* O_SYNC contains it */
        if (is_new) record(CREATE, 0, full, NULL, 0, 0);
        else if (flags & O_TRUNC) record(TRUNCATE, 0, full, NULL, 0, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = va_arg(rest, mode_t);                                                        \
        va_end(rest);                                                                              \
        return do_open(AT_FDCWD, path, flags, mode);                                               \
    }
#define OPENAT(name)                                                                               \
    int name(int at, const char *path, int flags, ...) {                                           \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = va_arg(rest, mode_t);                                                        \
        va_end(rest);                                                                              \
        return do_open(at, path, flags, mode);                                                     \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (watched(fd)) free(paths[fd]), paths[fd] = NULL;
    pthread_mutex_unlock(&lock);
    return syscall(SYS_close, fd);
}

static ssize_t logged_write(int fd, const struct iovec *parts, int count, off_t offset) {
    pthread_mutex_lock(&lock);
    int at_position = offset < 0;
    if (at_position) offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = at_position ? syscall(SYS_writev, fd, parts, count)
                               : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    int saved = errno;
    if (done >= 0) {
        record(WRITE, is_sync[fd], paths[fd], NULL, offset, done);
        size_t left = done;
        for (int i = 0; i < count && left; i++) {
            size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
            put(parts[i].iov_base, part);
            left -= part;
        }
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

ssize_t write(int fd, const void *data, size_t length) {
    struct iovec part = {(void *)data, length};
    return watched(fd) ? logged_write(fd, &part, 1, -1) : syscall(SYS_write, fd, data, length);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return watched(fd) ? logged_write(fd, parts, count, -1) : syscall(SYS_writev, fd, parts, count);
}
#define PWRITE(name)                                                                               \
    ssize_t name(int fd, const void *data, size_t length, off_t offset) {                          \
        struct iovec part = {(void *)data, length};                                                \
        return watched(fd) ? logged_write(fd, &part, 1, offset)                                    \
                           : syscall(SYS_pwrite64, fd, data, length, offset);                      \
    }
#define PWRITEV(name)                                                                              \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t offset) {                     \
        return watched(fd) ? logged_write(fd, parts, count, offset)                                \
                           : syscall(SYS_pwritev, fd, parts, count, offset, 0);                    \
    }
PWRITE(pwrite)
PWRITE(pwrite64)
PWRITEV(pwritev)
PWRITEV(pwritev64)

#define FTRUNCATE(name)                                                                            \
    int name(int fd, off_t length) {                                                               \
        pthread_mutex_lock(&lock);                                                                 \
        int result = syscall(SYS_ftruncate, fd, length);                                           \
        if (!result && watched(fd)) record(TRUNCATE, 0, paths[fd], NULL, length, 0);               \
        pthread_mutex_unlock(&lock);                                                               \
        return result;                                                                             \
    }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

static int logged_sync(long call, int fd) {
    int result = syscall(call, fd);
    pthread_mutex_lock(&lock);
    if (!result && watched(fd)) record(SYNC, 0, paths[fd], NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int fsync(int fd) { return logged_sync(SYS_fsync, fd); }
int fdatasync(int fd) { return logged_sync(SYS_fdatasync, fd); }

int rename(const char *from, const char *to) {
    char old[PATH_MAX * 2], new[PATH_MAX * 2];
    int ours = resolve(from, old) && resolve(to, new);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_rename, from, to);
    if (!result && ours) record(RENAME, 0, old, new, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int unlink(const char *path) {
    char full[PATH_MAX * 2];
    int ours = resolve(path, full);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_unlink, path);
    if (!result && ours) record(UNLINK, 0, full, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int mkdir(const char *path, mode_t mode) {
    char full[PATH_MAX * 2];
    int ours = resolve(path, full);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_mkdir, path, mode);
    if (!result && ours) record(MKDIR, 0, full, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

/* Stores into a shared mapping would pass unseen: the reader of the log refuses to go on. */
#define MMAP(name)                                                                                 \
    void *name(void *at, size_t length, int protection, int flags, int fd, off_t offset) {         \
        if ((protection & PROT_WRITE) && (flags & MAP_SHARED) && watched(fd)) {                    \
            pthread_mutex_lock(&lock);                                                             \
            record(MAPPED_FOR_WRITING, 0, paths[fd], NULL, offset, 0);                             \
            pthread_mutex_unlock(&lock);                                                           \
        }                                                                                          \
        return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);               \
    }
MMAP(mmap)
MMAP(mmap64)
