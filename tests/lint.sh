#!/bin/sh
# SPDX-License-Identifier: MIT
# Static checks: formatting, shell, YAML, spelling, Ansible content and the house rules. Prints what is wrong; exit 1 if anything is.
# No file of ours and no link has a blank in its name:
# shellcheck disable=SC2046
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
wrong() { echo "lint: $*" >&2; bad=1; }
files() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

# C++: other versions of clang-format break lines elsewhere.
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
  files '*.cpp' '*.hpp' | xargs clang-format --style=file --dry-run --Werror || wrong "formatting: run clang-format -i on the files above"
else
  echo "lint: formatting not checked: it is defined by clang-format 14"
fi

# House rules. Size: iostream alone is half a megabyte in the executable (and regex, filesystem not much less).
grep -nE '^#include <(iostream|fstream|sstream|regex|filesystem|locale)>' $(files 'common/*.[ch]pp' 'modules/*.cpp') && wrong "these headers are too large for the executable that travels"
grep -niE 'check_?mode' /dev/null $(files 'modules/*.cpp') && wrong "check mode is the executor's: a module does not know of it"
grep -nE '#include <fmt/' $(files 'common/*.[ch]pp' 'modules/*.cpp') | grep -v '^common/base/result.hpp:' && wrong "include fmt through common/base/result.hpp"
for f in $(files '*.cpp' '*.hpp' '*.py' '*.sh' '*.cmake' 'dev' '.ci/run'); do
  head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' || wrong "$f has no SPDX line"
done
for f in $(files '*'); do
  [ "$(head -c 4 "$f" | od -An -c | tr -d ' ')" = '177ELF' ] && wrong "$f is an executable: none is committed"
done

for f in $(files '*.md'); do
  # shellcheck disable=SC2013
  for link in $(grep -oE '\]\([^)]*' "$f" | sed 's/^](//; s/#.*//' | grep -v '^[a-z]*:'); do
    [ -n "$(files "$(dirname "$f")/$link")" ] || wrong "$f links to $link, which the repository does not have"
  done
done

python3 tests/architecture.py || wrong "architecture"

shellcheck $(files 'dev' '.ci/run' '*.sh') || wrong "shellcheck"
yamllint --strict $(files '*.yml' '*.yaml') || wrong "yamllint"
codespell --quiet-level=2 --ignore-words=tests/codespell-ignore.txt $(files '*.cpp' '*.hpp' '*.py' '*.sh' '*.md' '*.yml' 'dev' | grep -v '^common/catalogue/') || wrong "codespell"

[ "$bad" = 0 ] && echo "lint: clean"
exit "$bad"
