"""A named pipe that nobody reads, for logs that hang."""

import fcntl
import os
import select


class Pipe:
    """A named pipe that takes 4 KiB."""

    def __init__(self, path):
        os.mkfifo(path)
        os.chmod(path, 0o666)
        # Open both ways, so that httpd's opening of it does not wait for a reader.
        self._end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._end, fcntl.F_SETPIPE_SZ, 4096)
        self.text = b""

    def is_full(self):
        return not select.select([], [self._end], [], 0)[1]

    def read(self):
        """What has been written since the last time. From the first on there is room for more."""
        if self.text == b"":
            fcntl.fcntl(self._end, fcntl.F_SETPIPE_SZ, 1 << 20)
        try:
            while piece := os.read(self._end, 1 << 20):
                self.text += piece
        except BlockingIOError:
            pass
        return self.text

    def close(self):
        os.close(self._end)
