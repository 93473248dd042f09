// EXPECT_ERROR(statement, {"part", ...}): the statement throws Error whose message holds each part.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "runtime/error.h"

namespace vktrain {

template <class E = Error, class F>
void expect_error(F&& statement, std::initializer_list<std::string_view> parts) {
  try {
    statement();
    ADD_FAILURE() << "no error was thrown";
  } catch (const E& error) {
    const std::string message = error.what();
    for (const std::string_view part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' is not in: " << message;
    }
    EXPECT_TRUE(message.ends_with(".")) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

}  // namespace vktrain
