# SPDX-License-Identifier: MIT
add_library(pve_gpu_warnings INTERFACE)
# missing-field-initializers: designated initialisers leave members to their defaults on purpose.
target_compile_options(pve_gpu_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual
  -Wnull-dereference -Wno-missing-field-initializers)
# dangling-reference takes a reference that a function returns for one to the function's temporary argument.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  target_compile_options(pve_gpu_warnings INTERFACE -Wno-dangling-reference)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(pve_gpu_warnings INTERFACE -Wno-gnu-statement-expression)
endif()
if(PVE_GPU_WERROR)
  target_compile_options(pve_gpu_warnings INTERFACE -Werror)
endif()
