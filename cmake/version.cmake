# Writes OUTPUT from INPUT with VERSION and the commit that is checked out in SOURCE_DIR ("" without
# git). Runs in every build and touches OUTPUT only when it changes.
execute_process(
  COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=12 --exclude=*
  OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  set(COMMIT "")
endif()
configure_file(${INPUT} ${OUTPUT} @ONLY)
