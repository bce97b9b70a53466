"""The one exception that means "you can mend this": bad input or a bad environment, never a bug of ours."""


class Refused(Exception):
    """Bad input or environment, told in one clear sentence that says what to do.

    The `finr1` command prints the sentence and exits with code 2. Anything else that escapes is a defect of the
    kit and keeps its traceback.
    """
