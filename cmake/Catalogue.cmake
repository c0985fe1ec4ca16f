# SPDX-License-Identifier: MIT
# The catalogue's CSV files as C++: who compiles common/catalogue/catalogue.cpp names PVE_GPU_CATALOGUE_DATA among its sources and has
# its folder in its include path.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
get_filename_component(catalogue "${CMAKE_CURRENT_LIST_DIR}/../common/catalogue" ABSOLUTE)
file(GLOB catalogue_tables CONFIGURE_DEPENDS "${catalogue}/*.csv")
set(PVE_GPU_CATALOGUE_DATA "${PROJECT_BINARY_DIR}/generated/catalogue_data.inc")
add_custom_command(
  OUTPUT "${PVE_GPU_CATALOGUE_DATA}"
  COMMAND "${Python3_EXECUTABLE}" -B "${catalogue}/generate.py" "${PVE_GPU_CATALOGUE_DATA}"
  DEPENDS ${catalogue_tables} "${catalogue}/schema.json" "${catalogue}/generate.py"
  COMMENT "Making catalogue_data.inc")
