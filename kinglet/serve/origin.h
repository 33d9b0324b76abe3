// Which web pages may use the server.
//
// A browser sends requests for any page that a user looks at, also to servers on the user's own machine, and says in
// "Origin" where the page is from. Programs that are no browsers send none.
#pragma once

#include <string_view>

namespace kinglet {

// Whether a page of `origin` ("http://localhost:8080") came from the server that is addressed as `host`
// ("localhost:8080"). `loopback_only`: and by a name that means this machine whatever a name server says, because a
// page may have its own name point here after it was loaded.
bool is_own_page(std::string_view origin, std::string_view host, bool loopback_only);

}  // namespace kinglet
