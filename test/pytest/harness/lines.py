"""Files that another process writes line by line."""


def whole_lines(path):
    """The lines of the file `path`, without a last one that is being written; none if there is no file yet."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    return text[: text.rfind(b"\n") + 1].decode("utf-8", "replace").splitlines()
