# SPDX-License-Identifier: MIT
# Targets `docs` (modules/docs) and `collection` (the Ansible collection with this build's executable, without an archive; what
# is given away carries the portable one: ./dev collection).
find_package(Python3 COMPONENTS Interpreter REQUIRED)
add_custom_target(docs
  COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/cmake/collection/generate_docs.py"
          --executable $<TARGET_FILE:pve-gpu> --output "${PROJECT_SOURCE_DIR}/modules/docs"
  DEPENDS pve-gpu VERBATIM)
add_custom_target(collection
  COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/cmake/collection/assemble.py"
          --executable $<TARGET_FILE:pve-gpu> --output "${PROJECT_BINARY_DIR}/collection" --no-archive
  DEPENDS pve-gpu VERBATIM)
