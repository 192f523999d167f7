"""Becomes a command without a network and with few files: `confine.py FILE COMMAND...`.

FILE holds JSON: {"read": [...], "list": [...], "write": [...]}, absolute paths that may
be read (with what is below), listed, and written. A program of its own, like
sweep/child.py, and for two more reasons: a user namespace is for processes of one
thread, and Landlock binds a thread and those it starts. Linux only.
"""

import ctypes
import fcntl
import json
import os
import platform
import socket
import stat
import struct
import sys

_NEWUSER, _NEWNET = 0x10000000, 0x40000000  # unshare(2)
_PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same everywhere
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

# Landlock's rights: bits of linux/landlock.h.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_ALL = (1 << 16) - 1
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# Below 3 a file that may not be written could still be emptied.
_LOWEST_ABI = 3
_SCOPES = 3  # signals and abstract sockets stay within; from ABI 6


class NotPossibleError(Exception):
    """This system does not let a process be confined."""


def landlock_abi() -> int:
    """The version of Landlock here; 0 without."""
    if platform.system() != "Linux":
        return 0
    found = ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, 1)
    return max(found, 0)


def leave_network(libc: ctypes.CDLL) -> None:
    """From now on there is a loopback device of our own and nothing else."""
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_NEWUSER | _NEWNET):
        raise NotPossibleError(
            f"this system allows no user namespaces ({os.strerror(ctypes.get_errno())})"
            "; allow them (sysctl user.max_user_namespaces, "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container: its "
            "seccomp profile)"
        )
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        request = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("h", request, 16)[0] | _IFF_UP
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


def limit_files(libc: ctypes.CDLL, grants: dict[str, list[str]]) -> None:
    """From now on only what `grants` names can be opened."""
    abi = landlock_abi()
    if abi < _LOWEST_ABI:
        raise NotPossibleError(
            f"this kernel has Landlock version {abi} (0: none) and {_LOWEST_ABI} is "
            "needed: Linux 6.2, with landlock among the kernel's lsm= parameters"
        )
    rights = _ALL if abi >= 5 else _ALL & ~_IOCTL_DEV
    attributes = struct.pack("QQQ", rights, 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 8
    ruleset = _checked(libc.syscall(_CREATE_RULESET, attributes, size, 0))
    for kind, wanted in (("read", _READ), ("list", _READ_DIR), ("write", _ALL)):
        for path in grants[kind]:
            _allow(libc, ruleset, path, wanted & rights)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, wanted: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it is not there on this system: nothing to allow
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            wanted &= _OF_FILES
        if wanted:
            rule = struct.pack("=Qi", wanted, opened)
            _checked(libc.syscall(_ADD_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(opened)


def _checked(result: int) -> int:
    if result < 0:
        error = os.strerror(ctypes.get_errno())
        raise NotPossibleError(f"Landlock refuses ({error})")
    return result


def main(arguments: list[str]) -> None:
    """Confines this process, and runs the command in it."""
    file, *command = arguments
    with open(file) as opened:
        grants = json.load(opened)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        leave_network(libc)
        limit_files(libc, grants)
    except (NotPossibleError, OSError) as error:
        sys.exit(
            f"algoperf: --isolate=strict: {error}. Or give --isolate=process, which "
            "has the network and all files."
        )
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
