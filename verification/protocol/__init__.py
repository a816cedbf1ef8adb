"""Programs in any language, judged over standard input and output: docs/protocol.md describes the lines.

`verify_program` runs the built-in problems and the golden vectors through a program; `smoke` tells a broken harness
from a broken algorithm.
"""

from verification.protocol.harness import Check, smoke
from verification.protocol.judging import verify_program
from verification.protocol.schemas import SCHEMA

__all__ = ["SCHEMA", "Check", "smoke", "verify_program"]
