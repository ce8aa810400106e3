# cmake -DOUTPUT=families.cc "-DINPUTS=a.json;b.json" -P embed_families.cmake
#
# Writes a C++ source with the texts of the files, for model/families.h.
set(elements)
foreach(input IN LISTS INPUTS)
  file(READ ${input} text)
  string(LENGTH "${text}" length)
  if(length GREATER 16000)  # a limit of some compilers for one literal
    message(FATAL_ERROR "${input}: too long to embed")
  endif()
  string(APPEND elements "      R\"json(${text})json\",\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"model/families.h\"

namespace fallow {

std::vector<std::string_view> FamilyDescriptors() {
  return {
${elements}  };
}

}  // namespace fallow
")
