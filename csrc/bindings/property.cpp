#include "bindings/property.h"

#include <string_view>

namespace inferkit {

bool add_attribute(PyTypeObject* type, const char* name, const Ref& value) {
  return value && PyObject_SetAttrString(reinterpret_cast<PyObject*>(type), name, value.get()) == 0;
}

bool add_property(PyTypeObject* type, PyMethodDef& getter) {
  const std::string_view doc(getter.ml_doc);
  const char* text = getter.ml_doc + doc.find("\n\n") + 2;
  const Ref method = Ref::steal(PyDescr_NewMethod(type, &getter));
  if (!method) return false;
  PyObject* property = reinterpret_cast<PyObject*>(&PyProperty_Type);
  return add_attribute(
      type, getter.ml_name,
      Ref::steal(PyObject_CallFunction(property, "OOOs", method.get(), Py_None, Py_None, text)));
}

}  // namespace inferkit
