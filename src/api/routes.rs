//! Which paths there are, and what each takes. `openapi.json` describes the same to other programs;
//! a test holds the two together.

use hyper::Method;

use super::problem::Problem;
use crate::percent;

/// What every path begins with.
pub(super) const BASE: &str = "/api/v1";

/// The most parameters that a path has.
const PARAMETERS_MAX: usize = 2;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    CreateRoom,
    ListRooms,
    ReadRoom,
    ChangeRoom,
    DeleteRoom,
    Members,
    Messages,
    CreateInvite,
    ListInvites,
    RevokeInvite,
    TurnCredentials,
    StreamEvents,
    RoomFileOptions,
    FileOptions,
    CreateFile,
    ListFiles,
    FileHead,
    ContinueFile,
    DeleteFile,
    FetchFile,
    LinkFile,
    OpenApi,
}

/// A method on a path.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// Parameters stand in braces; each is one segment.
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    /// Every status it may be answered by.
    pub(super) statuses: &'static [u16],
}

/// Every route. 403 is also what pages of other sites get, 408 whoever sends too slowly, 503 everyone while
/// the store does not answer.
pub(super) static ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/rooms",
        operation: Operation::CreateRoom,
        statuses: &[201, 400, 401, 403, 408, 409, 413, 415, 429, 503],
    },
    Route {
        method: "GET",
        path: "/rooms",
        operation: Operation::ListRooms,
        statuses: &[200, 400, 401, 403, 429, 503],
    },
    Route {
        method: "GET",
        path: "/rooms/{name}",
        operation: Operation::ReadRoom,
        statuses: &[200, 400, 401, 403, 404, 429, 503],
    },
    Route {
        method: "PATCH",
        path: "/rooms/{name}",
        operation: Operation::ChangeRoom,
        statuses: &[200, 400, 401, 403, 404, 408, 409, 413, 415, 429, 503],
    },
    Route {
        method: "DELETE",
        path: "/rooms/{name}",
        operation: Operation::DeleteRoom,
        statuses: &[204, 400, 401, 403, 404, 429, 503],
    },
    Route {
        method: "GET",
        path: "/rooms/{name}/members",
        operation: Operation::Members,
        statuses: &[200, 400, 401, 403, 404, 429, 503],
    },
    Route {
        method: "GET",
        path: "/rooms/{name}/messages",
        operation: Operation::Messages,
        statuses: &[200, 400, 401, 403, 404, 429, 503],
    },
    Route {
        method: "POST",
        path: "/rooms/{name}/invites",
        operation: Operation::CreateInvite,
        statuses: &[201, 400, 401, 403, 404, 408, 409, 413, 415, 429, 503],
    },
    Route {
        method: "GET",
        path: "/rooms/{name}/invites",
        operation: Operation::ListInvites,
        statuses: &[200, 400, 401, 403, 404, 429, 503],
    },
    Route {
        method: "DELETE",
        path: "/rooms/{name}/invites/{id}",
        operation: Operation::RevokeInvite,
        statuses: &[204, 400, 401, 403, 404, 429, 503],
    },
    Route {
        method: "POST",
        path: "/turn-credentials",
        operation: Operation::TurnCredentials,
        statuses: &[200, 400, 401, 403, 408, 413, 415, 429, 503],
    },
    Route {
        method: "GET",
        path: "/events",
        operation: Operation::StreamEvents,
        statuses: &[200, 401, 403, 429, 503],
    },
    Route {
        method: "OPTIONS",
        path: "/rooms/{name}/files",
        operation: Operation::RoomFileOptions,
        statuses: &[204, 400, 401, 403, 429, 503],
    },
    Route {
        method: "POST",
        path: "/rooms/{name}/files",
        operation: Operation::CreateFile,
        statuses: &[
            201, 400, 401, 403, 404, 408, 409, 412, 413, 415, 423, 429, 503,
        ],
    },
    Route {
        method: "GET",
        path: "/rooms/{name}/files",
        operation: Operation::ListFiles,
        statuses: &[200, 400, 401, 403, 404, 429, 503],
    },
    Route {
        method: "OPTIONS",
        path: "/files/{id}",
        operation: Operation::FileOptions,
        statuses: &[204, 401, 403, 404, 429, 503],
    },
    Route {
        method: "HEAD",
        path: "/files/{id}",
        operation: Operation::FileHead,
        statuses: &[200, 304, 401, 403, 404, 409, 412, 423, 429, 503],
    },
    Route {
        method: "PATCH",
        path: "/files/{id}",
        operation: Operation::ContinueFile,
        statuses: &[
            204, 400, 401, 403, 404, 408, 409, 412, 413, 415, 423, 429, 503,
        ],
    },
    Route {
        method: "DELETE",
        path: "/files/{id}",
        operation: Operation::DeleteFile,
        statuses: &[204, 401, 403, 404, 409, 412, 423, 429, 503],
    },
    Route {
        method: "GET",
        path: "/files/{id}",
        operation: Operation::FetchFile,
        statuses: &[200, 206, 304, 401, 403, 404, 416, 429, 503],
    },
    Route {
        method: "GET",
        path: "/files/{id}/link",
        operation: Operation::LinkFile,
        statuses: &[200, 400, 401, 403, 404, 429, 503],
    },
    Route {
        method: "GET",
        path: "/openapi.json",
        operation: Operation::OpenApi,
        statuses: &[200, 401, 403, 429, 503],
    },
];

/// The parameters of a path, decoded, in their order.
pub(super) type Parameters = Vec<String>;

/// The route for a method and a whole path.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, Parameters), Problem> {
    let path = path.strip_prefix(BASE).unwrap_or_default();
    let mut allowed: Vec<&'static str> = Vec::new();
    let mut instead = None;
    for route in ROUTES {
        let Some(parameters) = matched(route.path, path) else {
            continue;
        };
        if method == route.method {
            return Ok((route, decoded(&parameters)?));
        }
        // HEAD is GET without its body, unless it has a route of its own.
        if *method == Method::HEAD && route.method == "GET" {
            instead = Some((route, parameters));
        }
        allowed.push(route.method);
    }
    if let Some((route, parameters)) = instead {
        return Ok((route, decoded(&parameters)?));
    }
    if allowed.is_empty() {
        return Err(Problem::not_found("There is no such path."));
    }
    if allowed.contains(&"GET") && !allowed.contains(&"HEAD") {
        allowed.push("HEAD");
    }
    Err(Problem::method(&allowed.join(", ")))
}

/// The segments of `path` where `template` has parameters, if it fits.
fn matched<'a>(template: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let mut parameters = Vec::with_capacity(PARAMETERS_MAX);
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            parameters.push(segment);
        } else if segment != expected {
            return None;
        }
    }
    segments.next().is_none().then_some(parameters)
}

fn decoded(parameters: &[&str]) -> Result<Parameters, Problem> {
    parameters
        .iter()
        .map(|text| {
            percent::decode(text)
                .ok_or_else(|| Problem::invalid("The path is not percent-encoded UTF-8."))
        })
        .collect()
}

/// What stands behind the question mark: each of `known` at most once, and nothing else.
pub(super) fn query<const N: usize>(
    query: Option<&str>,
    known: [&'static str; N],
) -> Result<[Option<String>; N], Problem> {
    let mut found = [const { None }; N];
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let place = known.iter().position(|known| *known == name);
        let Some(place) = place.and_then(|at| found.get_mut(at)) else {
            return Err(Problem::invalid(format!(
                "Of the query, only these are known: {}.",
                known.join(", ")
            )));
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(Problem::invalid("One part of the query is there twice."));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_segment_by_segment() {
        let template = "/rooms/{name}/invites/{id}";
        assert_eq!(
            matched(template, "/rooms/a%2Fb/invites/7"),
            Some(vec!["a%2Fb", "7"])
        );
        for other in [
            "/rooms/a/b/invites/7",
            "/rooms//invites/7",
            "/rooms/a/invites",
            "/rooms/a/invites/7/",
            "rooms/a/invites/7",
            "",
        ] {
            assert_eq!(matched(template, other), None, "{other}");
        }
    }

    #[test]
    fn a_query_has_what_is_known_and_nothing_twice() {
        let read = |text| query(Some(text), ["a", "b"]).ok();
        assert_eq!(query(None, ["a"]).unwrap(), [None]);
        assert_eq!(
            read("b=x+y&a=%26").unwrap(),
            [Some("&".to_owned()), Some("x y".to_owned())]
        );
        assert!(read("a=1&a=2").is_none());
        assert!(read("c=1").is_none());
    }
}
