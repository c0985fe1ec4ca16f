# SPDX-License-Identifier: MIT
# Every modules/NAME.cpp is a module called NAME: the registry is made from the file names.
file(GLOB PVE_GPU_MODULE_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/modules/*.cpp")
set(PVE_GPU_MODULE_DECLARATIONS "")
set(PVE_GPU_MODULE_LIST "")
foreach(source IN LISTS PVE_GPU_MODULE_SOURCES)
  get_filename_component(name "${source}" NAME_WE)
  string(APPEND PVE_GPU_MODULE_DECLARATIONS "const Module& module_${name}();\n")
  string(APPEND PVE_GPU_MODULE_LIST "    {\"${name}\", module_${name}},\n")
endforeach()
configure_file("${PROJECT_SOURCE_DIR}/cmake/registry.cpp.in" "${PROJECT_BINARY_DIR}/generated/registry.cpp" @ONLY)
configure_file("${PROJECT_SOURCE_DIR}/cmake/version.hpp.in" "${PROJECT_BINARY_DIR}/generated/version.hpp" @ONLY)
