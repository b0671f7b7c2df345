/* SPDX-License-Identifier: MIT
 * page.c - one HTML page over libwebsockets, on 127.0.0.1 only. Token in the address -> cookie; exact Host; strict headers.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <libwebsockets.h>

#include "convscope/convscope.h"
#include "convscope/serve.h"

enum { PIECE = 32 * 1024 }; /* bytes written a turn, so that a slow reader blocks nobody */

typedef struct server {
    const char *html;
    size_t size;
    int port;
    char token[33];
} server;

/* Per connection: what is being sent. */
typedef struct session {
    size_t sent;
} session;

/* Signals can reach nothing else; one server a process (serve.h says so). */
static volatile sig_atomic_t stop_asked;

static void ask_stop(int number) {
    (void)number;
    stop_asked = 1;
}

static bool same_secret(const char *a, const char *b, size_t n) {
    unsigned char different = 0;
    for (size_t i = 0; i < n; i++) {
        different = (unsigned char)(different | (a[i] ^ b[i]));
    }
    return different == 0;
}

static bool host_is_ours(struct lws *wsi, const server *s) {
    char host[64];
    int n = lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST);
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (int i = 0; n > 0 && i < 3; i++) {
        char ours[64];
        snprintf(ours, sizeof ours, "%s:%d", names[i], s->port);
        if (strcmp(host, ours) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_cookie(struct lws *wsi, const server *s) {
    char cookies[1024];
    if (lws_hdr_copy(wsi, cookies, sizeof cookies, WSI_TOKEN_HTTP_COOKIE) <= 0) {
        return false;
    }
    char name[40];
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

static int header(struct lws *wsi, const char *name, const char *value, unsigned char **p,
                  unsigned char *end) {
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                       (int)strlen(value), p, end);
}

/* Status line and headers of every answer. */
static int begin_answer(struct lws *wsi, unsigned status, const char *type, size_t length, const char *extra,
                        const char *extra_value) {
    unsigned char buffer[LWS_PRE + 2048], *start = buffer + LWS_PRE, *p = start,
                                          *end = buffer + sizeof buffer - 1;
    static const char *const fixed[][2] = {
        {"content-security-policy:", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
                                     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"x-content-type-options:", "nosniff"},
        {"referrer-policy:", "no-referrer"},
        {"cross-origin-opener-policy:", "same-origin"},
        {"cross-origin-resource-policy:", "same-origin"},
        {"cache-control:", "no-store"},
    };
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
    if (extra && header(wsi, extra, extra_value, &p, end)) {
        return 1;
    }
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

static int answer_text(struct lws *wsi, unsigned status, const char *text) {
    unsigned char buffer[LWS_PRE + 256];
    size_t n = strlen(text);
    memcpy(buffer + LWS_PRE, text, n);
    if (begin_answer(wsi, status, "text/plain; charset=utf-8", n, NULL, NULL) ||
        lws_write(wsi, buffer + LWS_PRE, n, LWS_WRITE_HTTP_FINAL) < 0) {
        return 1;
    }
    return lws_http_transaction_completed(wsi);
}

static int take_token(struct lws *wsi, const server *s) {
    unsigned char buffer[LWS_PRE + 1024], *start = buffer + LWS_PRE, *p = start,
                                          *end = buffer + sizeof buffer - 1;
    char cookie[160];
    snprintf(cookie, sizeof cookie, "convscope_%d=%s; HttpOnly; SameSite=Strict; Path=/", s->port, s->token);
    if (lws_add_http_header_status(wsi, HTTP_STATUS_SEE_OTHER, &p, end) ||
        header(wsi, "location:", "/", &p, end) || header(wsi, "set-cookie:", cookie, &p, end) ||
        header(wsi, "referrer-policy:", "no-referrer", &p, end) ||
        lws_add_http_header_content_length(wsi, 0, &p, end) ||
        lws_finalize_write_http_header(wsi, start, &p, end)) {
        return 1;
    }
    return lws_http_transaction_completed(wsi);
}

static int on_request(struct lws *wsi, const server *s, session *at, const char *path) {
    if (!host_is_ours(wsi, s)) {
        return answer_text(wsi, HTTP_STATUS_FORBIDDEN, "convscope: this address is not mine\n");
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) == 0 &&
        lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) == 0) {
        return answer_text(wsi, HTTP_STATUS_METHOD_NOT_ALLOWED, "convscope: only GET\n");
    }
    if (has_token(wsi, s)) {
        return take_token(wsi, s);
    }
    if (!has_cookie(wsi, s)) {
        return answer_text(wsi, HTTP_STATUS_FORBIDDEN,
                           "convscope: open the address that was printed; it carries a token\n");
    }
    if (strcmp(path, "/") != 0) {
        return answer_text(wsi, HTTP_STATUS_NOT_FOUND, "convscope: there is nothing here\n");
    }
    bool head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    if (begin_answer(wsi, HTTP_STATUS_OK, "text/html; charset=utf-8", s->size, NULL, NULL)) {
        return 1;
    }
    if (head) {
        return lws_http_transaction_completed(wsi);
    }
    at->sent = 0;
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_writable(struct lws *wsi, const server *s, session *at) {
    unsigned char buffer[LWS_PRE + PIECE];
    size_t n = s->size - at->sent;
    n = n < PIECE ? n : PIECE;
    if (n == 0) {
        return 0;
    }
    memcpy(buffer + LWS_PRE, s->html + at->sent, n);
    bool last = at->sent + n == s->size;
    if (lws_write(wsi, buffer + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) != (int)n) {
        return 1;
    }
    at->sent += n;
    if (last) {
        return lws_http_transaction_completed(wsi) ? -1 : 0;
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
    const server *s = lws_context_user(lws_get_context(wsi));
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(wsi, s, user, in ? in : "/");
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(wsi, s, user);
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, length);
    }
}

static cvs_status failed(cvs_error *err, const char *en, const char *zh) {
    if (err) {
        err->code = CVS_E_IO;
        snprintf(err->message, sizeof err->message, "%s", err->lang == CVS_ZH ? zh : en);
    }
    return CVS_E_IO;
}

static cvs_status serve(server *s, const cvs_serve_options *options, cvs_error *err) {
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
        .timeout_secs = 20,
        .keepalive_timeout = 30,
    };
    lws_set_log_level(0, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (!context) {
        return failed(err, "no server could be started on 127.0.0.1: is the port taken?",
                      "无法在 127.0.0.1 启动服务：端口是否已被占用？");
    }
    s->port = lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default"));
    char url[160];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/?token=%s", s->port, s->token);
    stop_asked = 0;
    struct sigaction act = {.sa_handler = ask_stop}, old_int, old_term;
    sigaction(SIGINT, &act, &old_int);
    sigaction(SIGTERM, &act, &old_term);
    bool go = !options->ready || options->ready(options->context, url);
    while (go && !stop_asked && lws_service(context, 0) >= 0) {}
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    lws_context_destroy(context);
    return CVS_OK;
}

cvs_status cvs_serve_page(const char *html, size_t size, const cvs_serve_options *options, cvs_error *err) {
    server s = {.html = html, .size = size};
    unsigned char secret[16];
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret) {
        return failed(err, "the system gave no random numbers for the token",
                      "系统没有提供生成令牌所需的随机数");
    }
    for (int i = 0; i < 16; i++) {
        snprintf(s.token + 2 * i, 3, "%02x", secret[i]);
    }
    return serve(&s, options, err);
}
