"""Breaks each rule of lint.py in a small repository, and sees that this rule objects and no other;
the same for isa_symbols.py with small objects.

    python3 tests/lint/lint_test.py
"""

import pathlib
import subprocess
import tempfile
import unittest

import isa_symbols
import lint

# A repository that breaks no rule.
GOOD = {
    ".clang-format": "BasedOnStyle: Google\nColumnLimit: 100\nIncludeBlocks: Preserve\n",
    "CMakeLists.txt": "project(fallow)\n",
    "library/include/fallow/peer.h": '#pragma once\n\n#include <string>\n\n'
    '#include "absl/base/attributes.h"\n\n// No grpc::Channel in code.\nstd::string Name();\n',
    "library/base/text.h": "#pragma once\n",
    "library/base/text.cc": '#include "base/text.h"\n\n#include <string>\n',
    "library/wire/peer.cc": '#include "fallow/peer.h"\n\n#include "base/text.h"\n',
    "tests/base/text_test.cc": "SKIP();\n",
    "tests/skips.txt": "# file | code | reason\ntests/base/text_test.cc | SKIP(); | no GPU\n",
}

# The rule, the file that breaks it, its contents (added to those of GOOD's file of that name).
FAULTS = [
    (lint.check_include_order, "library/base/low.cc", '#include "wire/transport.h"\n'),
    (lint.check_include_order, "library/swarm/route.h", "#include <server/server.h>\n"),
    (lint.check_include_order, "library/economy/credits.h", '#include "model/spec.h"\n'),
    (lint.check_unknown_folders, "library/misc/x.h", "#pragma once\n"),
    (lint.check_public_headers, "library/include/fallow/peer.h", "#include <grpcpp/grpcpp.h>\n"),
    (lint.check_public_headers, "library/include/fallow/peer.h", '#include "base/text.h"\n'),
    (lint.check_public_headers, "library/include/fallow/peer.h", "nlohmann::json Get();\n"),
    (lint.check_public_headers, "library/include/fallow/peer.h", "cudaStream_t Stream();\n"),
    (lint.check_public_headers_alone, "library/include/fallow/x.h", "std::string Name();\n"),
    (lint.check_own_header_first, "library/tensor/x.cc", '#include <a>\n\n#include "tensor/x.h"\n'),
    (lint.check_loose_math, "CMakeLists.txt", "add_compile_options(-ffast-math)\n"),
    (lint.check_loose_math, "tests/stages/cpp.sh", "g++ -Ofast x.cc\n"),
    (lint.check_loose_math, "cmake/x.cmake", "set(flags -funsafe-math-optimizations)\n"),
    (lint.check_loose_math, "library/base/x.cc", '#pragma GCC optimize("fast-math")\n'),
    (lint.check_format, "library/base/ugly.cc", "int  x ;\n"),
    (lint.check_skips, "tests/base/new_test.cc", "SKIP();\n"),
    (lint.check_skips, "tests/base/new_test.cc", 'TEST_CASE("slow", "[.slow]") {}\n'),
    (lint.check_skips, "tests/python/x_test.py", "@pytest.mark.skip\n"),
    (lint.check_skips, "tests/skips.txt", "tests/base/gone_test.cc | SKIP(); | gone\n"),
    (lint.check_skips, "tests/skips.txt", "tests/base/text_test.cc\n"),
]

# Faults that cannot but break a second rule: what should not be included is not there either.
ALSO_BREAKS = {lint.check_public_headers: {lint.check_public_headers_alone}}


def write(root: pathlib.Path, contents: dict[str, str]) -> None:
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "library/tensor").mkdir(parents=True, exist_ok=True)
    (root / "library/tensor/x.h").write_text("#pragma once\n")


class LintTest(unittest.TestCase):
    def broken_rules(self, contents: dict[str, str]) -> set:
        with tempfile.TemporaryDirectory() as root:
            write(pathlib.Path(root), contents)
            return {rule for rule in lint.RULES if list(rule(pathlib.Path(root)))}

    def test_a_good_repository_breaks_no_rule(self):
        self.assertEqual(self.broken_rules(GOOD), set())

    def test_each_fault_breaks_its_rule_only(self):
        for rule, name, text in FAULTS:
            with self.subTest(rule=rule.__name__, file=name, text=text):
                broken = self.broken_rules({**GOOD, name: GOOD.get(name, "") + text})
                self.assertIn(rule, broken)
                self.assertEqual(broken - ALSO_BREAKS.get(rule, set()), {rule})

    def test_each_rule_has_a_fault(self):
        self.assertEqual({rule for rule, _, _ in FAULTS}, set(lint.RULES))


class IsaSymbolsTest(unittest.TestCase):
    def shared_functions(self, source: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            item = pathlib.Path(folder, "x.o")
            subprocess.run(["g++", "-std=c++20", "-x", "c++", "-", "-c", "-o", str(item)],
                           input=source, text=True, check=True)
            return isa_symbols.shared_functions(item, "avx2")

    def test_functions_in_the_namespace_of_the_instruction_set_may_be_inline(self):
        source = "namespace fallow::avx2 { inline int F() { return 1; } int G() { return F(); } }"
        self.assertEqual(self.shared_functions(source), [])

    def test_inline_functions_elsewhere_are_found(self):
        source = "inline int F() { return 1; } namespace fallow::avx2 { int G() { return F(); } }"
        self.assertEqual(self.shared_functions(source), ["F()"])


if __name__ == "__main__":
    unittest.main()
