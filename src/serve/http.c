/* SPDX-License-Identifier: MIT
 * http.c - how requests and replies travel: libwebsockets on 127.0.0.1, token in the address -> cookie, exact Host and Origin,
 * strict headers, bounded bodies. The loop here never computes: it hands requests to a lane and sends what comes back.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "app.h"
#include "visdom_socket.h"
#include "lws_calls.h"

enum { PIECE = 64 * 1024 }; /* bytes written a turn, so that a slow reader blocks nobody */

/* A request on its way: with the connection until `queued`, then with a lane, then in the list of what is done. */
typedef struct exchange {
    struct server *server;
    struct exchange *next;
    struct lws *wsi; /* NULL: the connection is gone */
    const route *to;
    request q;
    reply r;
    size_t sent, capacity;
    bool queued, begun, head;
} exchange;

/* Per connection. */
typedef struct session {
    exchange *x;
    int64_t next; /* as in visdom_session: the two begin alike */
} session;
_Static_assert(sizeof(session) == sizeof(visdom_session), "both are the memory of one connection");

typedef struct server {
    app *app;
    struct lws_context *context;
    int port;
    struct lws_vhost *clients; /* the port of Visdom's clients, or NULL */
    char token[33];
    pthread_mutex_t lock; /* of `done` */
    exchange *done;
} server;

/* Signals can reach nothing else; one server a process (serve.h says so). */
static volatile sig_atomic_t stop_asked;
static struct lws_context *volatile stop_wakes;

static void ask_stop(int number) {
    (void)number;
    stop_asked = 1;
    if (stop_wakes) {
        lws_cancel_service(stop_wakes);
    }
}

/* ---- who asks ---------------------------------------------------------------------------------------------------- */

static bool same_secret(const char *a, const char *b, size_t n) {
    unsigned char different = 0;
    for (size_t i = 0; i < n; i++) {
        different = (unsigned char)(different | (a[i] ^ b[i]));
    }
    return different == 0;
}

static bool is_ours(const char *text, int port, const char *scheme) {
    static const char *const names[] = {"127.0.0.1", "localhost"};
    for (int i = 0; i < 2; i++) {
        char ours[80];
        snprintf(ours, sizeof ours, "%s%s:%d", scheme, names[i], port);
        if (strcmp(text, ours) == 0) {
            return true;
        }
    }
    return false;
}

static bool host_is_ours(struct lws *wsi, int port) {
    char host[64];
    return lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST) > 0 && is_ours(host, port, "");
}

/* What changes things, or costs, must come from our own page: a foreign one cannot set a header of its own. */
static bool origin_is_ours(struct lws *wsi, const server *s, bool post) {
    char text[128];
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0 &&
        (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_ORIGIN) <= 0 || !is_ours(text, s->port, "http://"))) {
        return false;
    }
    if (lws_hdr_custom_length(wsi, "sec-fetch-site:", 15) > 0 &&
        (lws_hdr_custom_copy(wsi, text, sizeof text, "sec-fetch-site:", 15) <= 0 ||
         (strcmp(text, "same-origin") != 0 && strcmp(text, "none") != 0))) {
        return false;
    }
    return !post || lws_hdr_custom_length(wsi, "x-convscope:", 12) > 0;
}

static bool has_cookie(struct lws *wsi, const server *s) {
    char cookies[4096], name[40];
    if (lws_hdr_copy(wsi, cookies, sizeof cookies, WSI_TOKEN_HTTP_COOKIE) <= 0) {
        return false;
    }
    int n = snprintf(name, sizeof name, "convscope_%d=", s->port);
    for (const char *at = strstr(cookies, name); at; at = strstr(at + 1, name)) {
        if (strlen(at + n) >= 32 && same_secret(at + n, s->token, 32)) {
            return true;
        }
    }
    return false;
}

static bool has_token(struct lws *wsi, const server *s) {
    char value[80];
    const char *token = lws_get_urlarg_by_name(wsi, "token=", value, sizeof value);
    return token && strlen(token) == 32 && same_secret(token, s->token, 32);
}

/* ---- answering ----------------------------------------------------------------------------------------------------- */

static int header(struct lws *wsi, const char *name, const char *value, unsigned char **p,
                  unsigned char *end) {
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                       (int)strlen(value), p, end);
}

/* What a document may do: the app's page; somebody's HTML in a frame of it; Plotly in a frame of its own, which writes styles. */
static const char *const policies[] = {
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src "
    "'self'; frame-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
    "'script'",
    "sandbox; default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; base-uri "
    "'none'; form-action 'none'; "
    "frame-ancestors 'self'"};

/* Status line and headers of every answer; r: type, size, file and what kind of document it is. */
static int begin_answer(struct lws *wsi, unsigned status, const reply *r, const char *path) {
    unsigned char buffer[LWS_PRE + 3072], *start = buffer + LWS_PRE, *p = start,
                                          *end = buffer + sizeof buffer - 1;
    const char *type = r->type ? r->type : "text/plain", *file = r->file;
    size_t length = r->size;
    static const char *const fixed[][2] = {
        {"x-content-type-options:", "nosniff"},
        {"referrer-policy:", "no-referrer"},
        {"cross-origin-opener-policy:", "same-origin"},
        {"cross-origin-resource-policy:", "same-origin"},
        {"permissions-policy:", "camera=(self), microphone=(), geolocation=()"},
        {"cache-control:", "no-store"},
    };
    char disposition[240];
    if (lws_add_http_header_status(wsi, status, &p, end) ||
        lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, (const unsigned char *)type,
                                     (int)strlen(type), &p, end) ||
        lws_add_http_header_content_length(wsi, (lws_filepos_t)length, &p, end)) {
        return 1;
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (header(wsi, fixed[i][0], fixed[i][1], &p, end)) {
            return 1;
        }
    }
    if (header(wsi, "content-security-policy:",
               policies[r->framed                      ? 1
                        : strcmp(path, "/plotly") == 0 ? 2
                                                       : 0],
               &p, end) ||
        (r->packed && header(wsi, "content-encoding:", "gzip", &p, end))) {
        return 1;
    }
    if (file[0]) {
        snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", file);
        if (header(wsi, "content-disposition:", disposition, &p, end)) {
            return 1;
        }
    }
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

/* A short answer at once; the connection is closed when a body may still be on its way. */
static int answer_text(struct lws *wsi, unsigned status, const char *text, bool close) {
    unsigned char buffer[LWS_PRE + 256];
    size_t n = strlen(text);
    memcpy(buffer + LWS_PRE, text, n);
    reply r = {.type = "text/plain; charset=utf-8", .size = n};
    if (begin_answer(wsi, status, &r, "") || lws_write(wsi, buffer + LWS_PRE, n, LWS_WRITE_HTTP_FINAL) < 0 ||
        close) {
        return -1;
    }
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int take_token(struct lws *wsi, const server *s) {
    unsigned char buffer[LWS_PRE + 1024], *start = buffer + LWS_PRE, *p = start,
                                          *end = buffer + sizeof buffer - 1;
    char cookie[160];
    snprintf(cookie, sizeof cookie, "convscope_%d=%s; HttpOnly; SameSite=Strict; Path=/", s->port, s->token);
    if (lws_add_http_header_status(wsi, HTTP_STATUS_SEE_OTHER, &p, end) ||
        header(wsi, "location:", "/", &p, end) || header(wsi, "set-cookie:", cookie, &p, end) ||
        header(wsi, "referrer-policy:", "no-referrer", &p, end) ||
        header(wsi, "cache-control:", "no-store", &p, end) ||
        lws_add_http_header_content_length(wsi, 0, &p, end) ||
        lws_finalize_write_http_header(wsi, start, &p, end)) {
        return -1;
    }
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* ---- exchanges ------------------------------------------------------------------------------------------------------ */

static void free_exchange(exchange *x) {
    if (x) {
        free(x->q.body);
        if (!x->r.borrowed) {
            free(x->r.data);
        }
        free(x);
    }
}

/* In a lane. */
static void work_on(void *context) {
    exchange *x = context;
    server *s = x->server;
    if (!atomic_load(&x->q.gone)) {
        x->to->handle(s->app, &x->q, &x->r);
    }
    pthread_mutex_lock(&s->lock);
    x->next = s->done;
    s->done = x;
    pthread_mutex_unlock(&s->lock);
    lws_cancel_service(s->context);
}

static int queue(struct lws *wsi, exchange *x) {
    x->queued = true;
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    if (!lanes_push(x->server->app->lanes, x->to->lane, work_on, x)) {
        x->queued = false;
        reply_error(&x->r, 503, "too much is waiting; try again");
        lws_callback_on_writable(wsi);
    }
    return 0;
}

/* What the lanes have finished goes out, or away where nobody waits any more. */
static void collect(server *s) {
    pthread_mutex_lock(&s->lock);
    exchange *x = s->done;
    s->done = NULL;
    pthread_mutex_unlock(&s->lock);
    while (x) {
        exchange *next = x->next;
        x->queued = false;
        if (!x->wsi) {
            free_exchange(x);
        } else {
            if (!x->r.data && !x->r.status) {
                reply_error(&x->r, 500, "no answer");
            }
            lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, 60);
            lws_callback_on_writable(x->wsi);
        }
        x = next;
    }
}

static void read_args(struct lws *wsi, request *q) {
    while (q->n_args < MAX_ARGS) {
        int n = lws_hdr_copy_fragment(wsi, q->args[q->n_args], MAX_ARG, WSI_TOKEN_HTTP_URI_ARGS, q->n_args);
        if (n < 0 || (n == 0 && lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, q->n_args) <= 0)) {
            break;
        }
        q->n_args++;
    }
}

static const asset *find_asset(const char *path) {
    for (int i = 0; i < cvs_n_web_assets; i++) {
        if (strcmp(cvs_web_assets[i].path, path) == 0) {
            return &cvs_web_assets[i];
        }
    }
    return NULL;
}

static int begin_exchange(struct lws *wsi, server *s, session *at, const char *path, bool post, bool head) {
    static const route client = {"", true, LANE_LIGHT, VISDOM_BODY, api_visdom_client};
    bool drawn = s->clients && lws_get_vhost(wsi) == s->clients;
    const asset *file = post ? NULL : find_asset(path);
    const route *to = drawn ? &client : file ? NULL : route_find(path, post);
    if (!file && !to) {
        return answer_text(wsi, HTTP_STATUS_NOT_FOUND, "convscope: there is nothing here\n", post);
    }
    exchange *x = calloc(1, sizeof *x);
    if (!x) {
        return -1;
    }
    *x = (exchange){.server = s, .wsi = wsi, .to = to, .head = head};
    at->x = x;
    x->q.post = post;
    snprintf(x->q.path, sizeof x->q.path, "%s", path);
    if (file) {
        x->r = (reply){
            .status = 200, .type = file->type, .size = file->size, .borrowed = true, .packed = file->packed};
        x->r.data = (uint8_t *)(uintptr_t)file->data;
        lws_callback_on_writable(wsi);
        return 0;
    }
    read_args(wsi, &x->q);
    if (lws_hdr_copy(wsi, x->q.content, sizeof x->q.content, WSI_TOKEN_HTTP_CONTENT_TYPE) < 0) {
        x->q.content[0] = 0;
    }
    if (!post) {
        return queue(wsi, x);
    }
    char length[32];
    if (lws_hdr_copy(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0) {
        return answer_text(wsi, 411, "convscope: say how long the body is\n", true);
    }
    if (strtoull(length, NULL, 10) > to->most) {
        return answer_text(wsi, HTTP_STATUS_REQ_ENTITY_TOO_LARGE, "convscope: that is too much at once\n",
                           true);
    }
    if (strtoull(length, NULL, 10) == 0) { /* libwebsockets closes then: nothing could be waited for */
        return answer_text(wsi, HTTP_STATUS_BAD_REQUEST, "convscope: the body is empty\n", true);
    }
    return 0; /* the body comes in pieces */
}

/* A client of Visdom's is no browser: what carries an Origin comes from a page that has no business here. */
static int on_client(struct lws *wsi, server *s, session *at, const char *path, bool post) {
    if (!host_is_ours(wsi, s->app->options->visdom_port) || lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0 ||
        lws_hdr_custom_length(wsi, "sec-fetch-site:", 15) > 0) {
        return answer_text(wsi, HTTP_STATUS_FORBIDDEN,
                           "convscope: only Visdom's clients of this machine may ask this\n", true);
    }
    if (!post) {
        return answer_text(
            wsi, HTTP_STATUS_OK,
            "Convscope draws what the Visdom client sends here; its page has another address.\n", false);
    }
    return begin_exchange(wsi, s, at, path, true, false);
}

static int on_request(struct lws *wsi, server *s, session *at, const char *path) {
    bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    bool head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    bool api = strncmp(path, "/api/", 5) == 0;
    free_exchange(at->x && !at->x->queued ? at->x : NULL);
    at->x = NULL;
    if (s->clients && lws_get_vhost(wsi) == s->clients) {
        return on_client(wsi, s, at, path, post);
    }
    if (!host_is_ours(wsi, s->port)) {
        return answer_text(wsi, HTTP_STATUS_FORBIDDEN, "convscope: this address is not mine\n", true);
    }
    if (!post && !head && lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) == 0) {
        return answer_text(wsi, HTTP_STATUS_METHOD_NOT_ALLOWED, "convscope: only GET and POST\n", true);
    }
    if (!post && has_token(wsi, s)) {
        return take_token(wsi, s);
    }
    if (!has_cookie(wsi, s)) {
        return answer_text(wsi, HTTP_STATUS_FORBIDDEN,
                           "convscope: open the address that was printed; it carries a token\n", true);
    }
    if ((api || post) && !origin_is_ours(wsi, s, post)) {
        return answer_text(wsi, HTTP_STATUS_FORBIDDEN, "convscope: only my own page may ask this\n", true);
    }
    return begin_exchange(wsi, s, at, path, post, head);
}

static int on_body(exchange *x, const void *data, size_t n) {
    if (!x || x->queued || !x->to || x->q.size + n > x->to->most) {
        return -1;
    }
    if (x->q.size + n > x->capacity) {
        size_t more = (x->q.size + n) * 2;
        uint8_t *grown = realloc(x->q.body, more);
        if (!grown) {
            return -1;
        }
        x->q.body = grown;
        x->capacity = more;
    }
    memcpy(x->q.body + x->q.size, data, n);
    x->q.size += n;
    return 0;
}

static int on_writable(struct lws *wsi, session *at) {
    exchange *x = at->x;
    if (!x || x->queued || (!x->r.data && !x->r.status)) {
        return 0;
    }
    if (!x->begun) {
        x->begun = true;
        if (begin_answer(wsi, x->r.status ? (unsigned)x->r.status : 200u, &x->r, x->q.path)) {
            return -1;
        }
        if (!x->head && x->r.size > 0) {
            lws_callback_on_writable(wsi);
            return 0;
        }
    } else {
        unsigned char buffer[LWS_PRE + PIECE];
        size_t n = x->r.size - x->sent < PIECE ? x->r.size - x->sent : PIECE;
        memcpy(buffer + LWS_PRE, x->r.data + x->sent, n);
        x->sent += n;
        bool last = x->sent == x->r.size;
        if (lws_write(wsi, buffer + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) != (int)n) {
            return -1;
        }
        if (!last) {
            lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, 30);
            lws_callback_on_writable(wsi);
            return 0;
        }
    }
    at->x = NULL;
    free_exchange(x);
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static void on_closed(session *at) {
    if (at && at->x && at->x->queued) { /* a lane has it: it is freed when it comes back */
        atomic_store(&at->x->q.gone, true);
        at->x->wsi = NULL;
    } else if (at) {
        free_exchange(at->x);
    }
    if (at) {
        at->x = NULL;
    }
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
    server *s = lws_context_user(lws_get_context(wsi));
    session *at = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(wsi, s, at, in ? in : "/");
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: /* an upgrade: there is no socket here, with a cookie or without */
        return -1;
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(at->x, in, length);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return at->x && !at->x->queued ? queue(wsi, at->x) : 0;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(wsi, at);
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        collect(s);
        return 0;
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        on_closed(at);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, length);
    }
}

/* The same on the port of Visdom's clients, and the sockets that they keep open. */
static int on_client_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                           size_t length) {
    server *s = lws_context_user(lws_get_context(wsi));
    bool handled = false, ours = false;
    if (reason == LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION) {
        char origin[128];
        int port = s->app->options->visdom_port;
        ours = host_is_ours(wsi, port) && (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) == 0 ||
                                           (lws_hdr_copy(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN) > 0 &&
                                            is_ours(origin, port, "http://")));
    }
    if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED && s->clients) {
        lws_callback_on_writable_all_protocol_vhost(s->clients,
                                                    lws_vhost_name_to_protocol(s->clients, "visdom"));
    }
    int got = visdom_socket_event(wsi, reason, user, s->app->visdom, ours, &handled);
    return handled ? got : on_event(wsi, reason, user, in, length);
}

/* ---- the server ------------------------------------------------------------------------------------------------------- */

static cvs_status failed(cvs_error *err, const char *en, const char *zh) {
    if (err) {
        err->code = CVS_E_IO;
        snprintf(err->message, sizeof err->message, "%s", err->lang == CVS_ZH ? zh : en);
    }
    return CVS_E_IO;
}

static cvs_status loop(server *s, const cvs_serve_options *options, cvs_error *err) {
    static const struct lws_protocols protocols[] = {
        {.name = "http", .callback = on_event, .per_session_data_size = sizeof(session)}, {0}};
    struct lws_context_creation_info info = {
        .port = options->port,
        .iface = "127.0.0.1",
        .protocols = protocols,
        .user = s,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_DISABLE_IPV6 | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
        .max_http_header_data = 16384,
        .max_http_header_pool = 256,
        .timeout_secs = 20,
        .keepalive_timeout = 30,
    };
    if (cvi_lws_load()[0] != '\0') {
        return failed(err, "pages are served with the library libwebsockets, which could not be loaded",
                      "提供网页需要 libwebsockets 库，但无法加载它");
    }
    lws_set_log_level(0, NULL);
    s->context = lws_create_context(&info);
    if (!s->context) {
        return failed(err, "no server could be started on 127.0.0.1: is the port taken?",
                      "无法在 127.0.0.1 启动服务：端口是否已被占用？");
    }
    if (options->visdom_port > 0) {
        static const struct lws_protocols draws[] = {{.name = "visdom",
                                                      .callback = on_client_event,
                                                      .per_session_data_size = sizeof(session),
                                                      .rx_buffer_size = 65536},
                                                     {0}};
        info.port = options->visdom_port;
        info.protocols = draws;
        info.vhost_name = "visdom";
        s->clients = lws_create_vhost(s->context, &info);
        if (!s->clients) {
            app_stop(s->app);
            lws_context_destroy(s->context);
            return failed(err, "the port for Visdom could not be opened on 127.0.0.1: is it taken?",
                          "无法在 127.0.0.1 打开供 Visdom 使用的端口：是否已被占用？");
        }
    }
    s->port = lws_get_vhost_listen_port(lws_get_vhost_by_name(s->context, "default"));
    char url[160];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/?token=%s", s->port, s->token);
    stop_asked = 0;
    stop_wakes = s->context;
    struct sigaction act = {.sa_handler = ask_stop}, old_int, old_term;
    sigaction(SIGINT, &act, &old_int);
    sigaction(SIGTERM, &act, &old_term);
    bool go = !options->ready || options->ready(options->context, url);
    while (go && !stop_asked && lws_service(s->context, 0) >= 0) {}
    stop_wakes = NULL;
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    app_stop(s->app); /* lanes end before the context that they wake */
    collect(s);
    lws_context_destroy(s->context);
    return CVS_OK;
}

bool cvs_serve_has_app(void) {
    return find_asset("/assets/app.js") != NULL;
}

cvs_status cvs_serve(const cvs_serve_options *options, cvs_error *err) {
    server s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    unsigned char secret[16];
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret) {
        return failed(err, "the system gave no random numbers for the token",
                      "系统没有提供生成令牌所需的随机数");
    }
    for (int i = 0; i < 16; i++) {
        snprintf(s.token + 2 * i, 3, "%02x", secret[i]);
    }
    s.app = calloc(1, sizeof *s.app);
    if (!s.app) {
        return failed(err, "out of memory", "内存不足");
    }
    cvs_status status = app_open(s.app, options, err);
    if (status == CVS_OK) {
        status = loop(&s, options, err);
    }
    app_close(s.app);
    free(s.app);
    return status;
}
