/* Preloaded into one bidlock process (LD_PRELOAD): the n-th call on the files of one folder fails, or is where the
 * computer loses its power. Counted over all threads, in the order in which they come. Built by the test that uses it.
 *
 * Calls that this library does not know go past it: what rustix asks the kernel for directly (flock, statfs, access).
 *
 * In the environment:
 *   IO_FOLDER   the folder; only calls on what lies in it count
 *   IO_JOURNAL  a file that gets a line for each call that counts: "name file"
 *   IO_DURABLE  a folder that gets a copy of a file each time it has been synced, at the same place below it: what a
 *               power failure leaves
 *   IO_AT       the call that is struck, from 1
 *   IO_FAULT    none     calls are counted as for eio
 *               eio      it fails with EIO; of a write, half is done
 *               enospc   it fails with ENOSPC, where there can be such an answer; of a write, half is done
 *               power    the process dies before it; where it would change something on the disk
 *   IO_LASTS    set: so do all calls after it
 *   IO_ONLY     only such calls count: "name file"; set where the others come in another order from run to run
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum fault { NONE, EIO_FAULT, ENOSPC_FAULT, POWER };
/* What a call can do: it may need room on the disk, it may change it, or it only asks. */
enum reach { ASKS, CHANGES, NEEDS_ROOM };

static char folder[PATH_MAX];
static size_t folder_length;
static const char *durable;
static int journal = -1;
static long at;
static int lasts;
static const char *only;
static enum fault fault;
static atomic_long calls;
/* The last file that was renamed, until its folder is synced; a process renames one after the other. */
static char renamed_from[PATH_MAX], renamed_to[PATH_MAX];

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("IO_FOLDER");
    if (name == NULL) return;
    snprintf(folder, sizeof folder, "%s", name);
    folder_length = strlen(folder);
    durable = getenv("IO_DURABLE");
    journal = (int)syscall(SYS_openat, AT_FDCWD, getenv("IO_JOURNAL"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    at = atol(getenv("IO_AT"));
    lasts = getenv("IO_LASTS") != NULL;
    only = getenv("IO_ONLY");
    const char *kind = getenv("IO_FAULT");
    fault = !strcmp(kind, "eio")      ? EIO_FAULT
            : !strcmp(kind, "enospc") ? ENOSPC_FAULT
            : !strcmp(kind, "power")  ? POWER
                                      : NONE;
}

static int is_watched(const char *path) {
    return folder_length > 0 && !strncmp(path, folder, folder_length) &&
           (path[folder_length] == '/' || path[folder_length] == '\0');
}

/* Where an open file lies; false if it is none of the folder's. */
static int path_of(int fd, char path[PATH_MAX]) {
    if (folder_length == 0 || fd < 0) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int before = errno;
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    errno = before;
    if (length <= 0) return 0;
    path[length] = '\0';
    return is_watched(path);
}

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Counts a call. The error that it is to end with, or 0. */
static int strikes(const char *call, enum reach reach, const char *path) {
    if ((fault == ENOSPC_FAULT && reach != NEEDS_ROOM) || (fault == POWER && reach == ASKS)) return 0;
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s %s\n", call, name_of(path));
    if (only != NULL && (strncmp(line, only, length - 1) || strlen(only) != (size_t)length - 1)) return 0;
    long n = atomic_fetch_add(&calls, 1) + 1;
    syscall(SYS_write, journal, line, length);
    if (fault == NONE || n < at || (n > at && !lasts)) return 0;
    if (fault == POWER) syscall(SYS_kill, getpid(), SIGKILL);
    return fault == ENOSPC_FAULT ? ENOSPC : EIO;
}

static int struck(const char *call, enum reach reach, const char *path) {
    int error = strikes(call, reach, path);
    if (error) errno = error;
    return error;
}

static int struck_at(const char *call, enum reach reach, int fd) {
    char path[PATH_MAX];
    return path_of(fd, path) && struck(call, reach, path);
}

/* Where the copy of a file lies. */
static void copy_of(const char *path, char copy[PATH_MAX]) { snprintf(copy, PATH_MAX, "%s%s", durable, path + folder_length); }

/* Under another name first: a copy that is cut short is none. */
static void keep_file(const char *path) {
    char whole[PATH_MAX], part[PATH_MAX + 32], bytes[65536];
    copy_of(path, whole);
    for (char *end = whole + strlen(durable); (end = strchr(end + 1, '/')) != NULL; *end = '/') {
        *end = '\0';
        syscall(SYS_mkdirat, AT_FDCWD, whole, 0700);
    }
    snprintf(part, sizeof part, "%s.%ld", whole, (long)syscall(SYS_gettid));
    /* Not closed: that would drop the locks that the process holds on the file by other descriptors. */
    int from = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (from < 0) return;
    int to = (int)syscall(SYS_openat, AT_FDCWD, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    long length;
    while ((length = syscall(SYS_read, from, bytes, sizeof bytes)) > 0) syscall(SYS_write, to, bytes, length);
    syscall(SYS_close, to);
    syscall(SYS_renameat2, AT_FDCWD, part, AT_FDCWD, whole, 0);
}

/* What was renamed in a folder, or deleted from it, is so on the disk once the folder has been synced. */
static void keep_folder(const char *path) {
    char of_folder[PATH_MAX];
    copy_of(path, of_folder);
    size_t length = strlen(path);
    if (!strncmp(renamed_to, path, length) && renamed_to[length] == '/' && !strchr(renamed_to + length + 1, '/')) {
        char from[PATH_MAX], to[PATH_MAX];
        copy_of(renamed_from, from);
        copy_of(renamed_to, to);
        /* What was not synced has its name, and nothing in it. */
        if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0) != 0)
            syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        renamed_to[0] = '\0';
    }
    DIR *copies = opendir(of_folder);
    if (copies == NULL) return;
    for (struct dirent *copy; (copy = readdir(copies)) != NULL;) {
        char original[PATH_MAX + 256], gone[PATH_MAX + 256];
        snprintf(original, sizeof original, "%s/%s", path, copy->d_name);
        snprintf(gone, sizeof gone, "%s/%s", of_folder, copy->d_name);
        if (syscall(SYS_faccessat, AT_FDCWD, original, F_OK) != 0) syscall(SYS_unlinkat, AT_FDCWD, gone, 0);
    }
    closedir(copies);
}

static void keep(const char *path) {
    struct stat about;
    if (durable == NULL || syscall(SYS_newfstatat, AT_FDCWD, path, &about, 0) != 0) return;
    S_ISDIR(about.st_mode) ? keep_folder(path) : keep_file(path);
}

static int open_at(int dir, const char *path, int flags, mode_t mode) {
    int makes = (flags & O_CREAT) && syscall(SYS_faccessat, dir, path, F_OK) != 0;
    if (is_watched(path) && struck("open", makes ? NEEDS_ROOM : ASKS, path)) return -1;
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define OPEN(name, ...)                                                                                                \
    int name(__VA_ARGS__, int flags, ...) {                                                                            \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;                                      \
        va_end(more);
OPEN(open, const char *path) return open_at(AT_FDCWD, path, flags, mode); }
OPEN(open64, const char *path) return open_at(AT_FDCWD, path, flags, mode); }
OPEN(openat, int dir, const char *path) return open_at(dir, path, flags, mode); }
OPEN(openat64, int dir, const char *path) return open_at(dir, path, flags, mode); }

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    if (struck_at("write", NEEDS_ROOM, fd)) {
        int error = errno;
        syscall(SYS_pwrite64, fd, bytes, length / 2, offset);
        errno = error;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, length, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
    if (struck_at("write", NEEDS_ROOM, fd)) {
        int error = errno;
        syscall(SYS_write, fd, bytes, length / 2);
        errno = error;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off_t offset) {
    return struck_at("read", ASKS, fd) ? -1 : syscall(SYS_pread64, fd, bytes, length, offset);
}
ssize_t pread(int fd, void *bytes, size_t length, off_t offset) { return pread64(fd, bytes, length, offset); }
ssize_t read(int fd, void *bytes, size_t length) {
    return struck_at("read", ASKS, fd) ? -1 : syscall(SYS_read, fd, bytes, length);
}

static int sync_file(int fd, long number) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return (int)syscall(number, fd);
    if (struck("sync", NEEDS_ROOM, path)) return -1;
    int done = (int)syscall(number, fd);
    if (done == 0) keep(path);
    return done;
}
int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

int ftruncate64(int fd, off_t length) {
    return struck_at("truncate", NEEDS_ROOM, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
    if (is_watched(path) && struck("unlink", CHANGES, path)) return -1;
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int rename(const char *from, const char *to) {
    if (is_watched(to) && struck("rename", NEEDS_ROOM, to)) return -1;
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (done == 0 && durable != NULL && is_watched(to)) {
        snprintf(renamed_from, sizeof renamed_from, "%s", from);
        snprintf(renamed_to, sizeof renamed_to, "%s", to);
    }
    return done;
}
int mkdir(const char *path, mode_t mode) {
    if (is_watched(path) && struck("mkdir", NEEDS_ROOM, path)) return -1;
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

void *mmap64(void *start, size_t length, int protection, int flags, int fd, off_t offset) {
    if (!(flags & MAP_ANONYMOUS) && struck_at("map", ASKS, fd)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, start, length, protection, flags, fd, offset);
}
void *mmap(void *start, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(start, length, protection, flags, fd, offset);
}

/* Not an unlock, which the kernel always does on a disk of its own; and not for ever: SQLite takes each refusal for a
 * lock that somebody else has, and waits for half a minute. */
static int lock_file(int fd, int command, void *argument) {
    int locks = (command == F_SETLK || command == F_SETLKW) && ((struct flock *)argument)->l_type != F_UNLCK;
    if (locks && !lasts && struck_at("lock", ASKS, fd)) return -1;
    return (int)syscall(SYS_fcntl, fd, command, argument);
}
#define FCNTL(name)                                                                                                    \
    int name(int fd, int command, ...) {                                                                               \
        va_list more;                                                                                                  \
        va_start(more, command);                                                                                       \
        void *argument = va_arg(more, void *);                                                                         \
        va_end(more);                                                                                                  \
        return lock_file(fd, command, argument);                                                                       \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

static int look(const char *path, void *about, int flags) {
    if (is_watched(path) && struck("stat", ASKS, path)) return -1;
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, about, flags);
}
int stat64(const char *path, struct stat64 *about) { return look(path, about, 0); }
int stat(const char *path, struct stat *about) { return look(path, about, 0); }
int lstat64(const char *path, struct stat64 *about) { return look(path, about, AT_SYMLINK_NOFOLLOW); }
int lstat(const char *path, struct stat *about) { return look(path, about, AT_SYMLINK_NOFOLLOW); }
static int look_at(int fd, void *about) {
    return struck_at("stat", ASKS, fd) ? -1 : (int)syscall(SYS_newfstatat, fd, "", about, AT_EMPTY_PATH);
}
int fstat64(int fd, struct stat64 *about) { return look_at(fd, about); }
int fstat(int fd, struct stat *about) { return look_at(fd, about); }
/* The standard library tries it without a path, which the headers say can't be: the compiler must not believe them. */
int statx(int dir, const char *path, int flags, unsigned mask, struct statx *about) {
    const char *volatile given = path;
    const char *name = given;
    int error = name && name[0] ? is_watched(name) && struck("stat", ASKS, name) : struck_at("stat", ASKS, dir);
    return error ? -1 : (int)syscall(SYS_statx, dir, name, flags, mask, about);
}
