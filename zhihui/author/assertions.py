"""Bare assertions that say what was there: ``assert a == b`` tells both sides when it fails."""

import ast
from typing import Any

__all__ = ("compiled", "told_assertion")

_TELL = "__told_assertion__"
_SIDE = "__side_{}__"


def told_assertion(text: str, left: Any, right: Any) -> str:
    """Return what a failed assertion says."""
    return f"{text}\n    left:  {left!r}\n    right: {right!r}"


def compiled(source: bytes, path: str) -> tuple[Any, dict[str, Any]]:
    """Return the code of a module of tests, and what it needs in its namespace."""
    tree = _Rewriter().visit(ast.parse(source, filename=path))
    return compile(ast.fix_missing_locations(tree), path, "exec"), {_TELL: told_assertion}


class _Rewriter(ast.NodeTransformer):
    """Take comparisons in assertions apart; each side is still computed once, and in order."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST | list[ast.stmt]:
        """Turn ``assert a == b`` into three statements with a message."""
        test = node.test
        if node.msg is not None or not isinstance(test, ast.Compare) or len(test.ops) != 1:
            return node
        sides = []
        names = []
        for number, side in enumerate((test.left, test.comparators[0])):
            name = _SIDE.format(number)
            sides.append(ast.Assign([ast.Name(name, ast.Store())], side))
            names.append(ast.Name(name, ast.Load()))
        message = ast.Call(
            ast.Name(_TELL, ast.Load()), [ast.Constant(ast.unparse(test)), *names], []
        )
        compare = ast.Compare(names[0], test.ops, [names[1]])
        statements = [*sides, ast.Assert(compare, message)]
        return [ast.copy_location(one, node) for one in statements]
