// Errors as clients of the OpenAI protocol expect them: a status and {"error": {message, type, param, code}}.
#pragma once

#include <string>
#include <string_view>

#include "kinglet/base/error.h"

namespace kinglet {

class ApiError : public Error {
 public:
  // `param`: the path of the field that is wrong ("messages[0].content"); `code`: a name for programs. Empty: null.
  ApiError(int status, std::string_view message, std::string param = {}, std::string code = {});

  int status() const { return status_; }
  const std::string& param() const { return param_; }
  const std::string& code() const { return code_; }

 private:
  int status_;
  std::string param_, code_;
};

std::string api_error_body(int status, std::string_view message, std::string_view param = {},
                           std::string_view code = {});
std::string api_error_body(const ApiError& error);

}  // namespace kinglet
