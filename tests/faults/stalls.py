"""Disks whose flushes take as long as a test wants, under processes that know nothing of it.

A library in front of fdatasync and fsync reads a number of milliseconds from a file before each
flush: by so much the flush takes longer, and below nought it lasts until the file says otherwise.
"""

import subprocess
from pathlib import Path

FOREVER = -1
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long milliseconds(void) {
  const char *path = getenv("STALL_FILE");
  FILE *file = path ? fopen(path, "r") : NULL;
  long found = 0;
  if (file) {
    if (fscanf(file, "%ld", &found) != 1) found = 0;
    fclose(file);
  }
  return found;
}

static void stall(void) {
  long wait = milliseconds();
  if (wait > 0) usleep(wait * 1000);
  while (wait < 0) {
    usleep(5000);
    wait = milliseconds();
  }
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  stall();
  return real(fd);
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  stall();
  return real(fd);
}
"""


class Stalls:
    """The library, and the delay of each node's flushes."""

    def __init__(self, directory: Path) -> None:
        """Builds the library, with the C compiler that is on every machine with make."""
        self._directory = directory
        self._library = directory / "stalls.so"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(self._library), "-ldl"]
        subprocess.run(command, input=_SOURCE, text=True, check=True)

    def environ(self, name: str) -> dict[str, str]:
        """What puts the library in front of the disk of a node."""
        return {"LD_PRELOAD": str(self._library), "STALL_FILE": str(self._file(name))}

    def set(self, name: str, milliseconds: int) -> None:
        """Let each flush of a node take so much longer from now on; `FOREVER`: none ends."""
        fresh = self._file(name).with_suffix(".new")
        fresh.write_text(str(milliseconds))
        fresh.replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self._directory / f"stall.{name}"

    def __repr__(self) -> str:
        return f"<Stalls in {self._directory}>"
