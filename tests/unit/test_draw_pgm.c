/* SPDX-License-Identifier: MIT
 * test_draw_pgm.c - graphical models in plate notation: plates hold exactly their members, no edge runs through a foreign node, the
 * scene's own checks hold in every theme, and mistakes are told where they are.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "convscope/draw.h"
#include "draw/figure.h"
#include "draw/pgm.h"
#include "test_helpers.h"

static const char classic[] =
    "node alpha fixed\nnode beta\nnode w \"$w_n$\"\nnode x \"$x_n$\" observed\n"
    "edge alpha -> beta -> w -> x\nedge beta -> x\nplate \"$n = 1, \\cdots, N$\" { w x }\n";

static const char *const models[] = {
    classic,
    "title \"LDA\"\nnode alpha fixed\nnode theta\nnode z\nnode w observed\nnode beta\nnode eta fixed\n"
    "edge alpha -> theta -> z -> w\nedge eta -> beta -> w\n"
    "plate \"d\" { theta plate \"n\" { z w } }\nplate \"k\" { beta }",
    "node phi fixed\nnode theta fixed\nnode x observed\nnode z\nnode c \"类别 $c_i$\" observed box\nnode m "
    "\"$\\mu_{\\phi}(x)$\" alt\n"
    "edge phi -> m \"q\"\nedge x -> m\nedge m -> z\nedge theta -> x\nedge z -> x\nedge c -> x\nedge c -- "
    "z\nplate \"N\" { x z c m }",
    "node a at 0,1\nnode b at 1,1\nnode c at 2,1\nedge a -> c\nedge a -> b -> c\nplate \"hand\" { b c }",
    "node \xE4\xB8\xAD | node <&>_%$x^2 | node q \"a very long label that no circle of any size could ever "
    "hold inside\" | edge q -> \xE4\xB8\xAD",
    "direction lr\nnode s1\nnode s2\nnode s3\nnode s4\nnode y1 observed\nnode y2 observed\nnode y3 "
    "observed\nnode y4 observed\n"
    "edge s1 -> s2 -> s3 -> s4\nedge s1 -> y1\nedge s2 -> y2\nedge s3 -> y3\nedge s4 -> y4\nedge s1 -> "
    "s4\nedge y1 -> y4",
};

static void laid_out(const char *text, cvi_pgm *p) {
    cvs_error err = {0};
    char line[900];
    p->arena = cvi_arena_new(0);
    cvs_status s = cvi_pgm_parse(p->arena, text, p, &err);
    s = s == CVS_OK ? cvi_pgm_layout(p, &err) : s;
    if (s != CVS_OK) {
        fail_msg("%s\n%s", cvs_error_text(&err, line, sizeof line), text);
    }
}

static bool is_member(const cvi_pgm *p, int plate, int node) {
    for (int q = p->nodes[node].plate; q >= 0; q = p->plates[q].parent) {
        if (q == plate) {
            return true;
        }
    }
    return false;
}

static void plates_hold_their_members(void **state) {
    (void)state;
    for (int m = 0; m < CVI_COUNT(models); m++) {
        cvi_pgm p;
        laid_out(models[m], &p);
        for (int i = 0; i < p.n_nodes; i++) {
            const cvi_pgm_node *n = &p.nodes[i];
            assert_true(n->x - n->w / 2 >= 0 && n->x + n->w / 2 <= p.width && n->y >= 0 && n->y <= p.height);
            for (int q = 0; q < p.n_plates; q++) {
                const cvi_pgm_plate *r = &p.plates[q];
                bool inside = n->x - n->w / 2 > r->x && n->x + n->w / 2 < r->x + r->w &&
                              n->y - n->h / 2 > r->y && n->y + n->h / 2 < r->y + r->h;
                bool outside = n->x + n->w / 2 < r->x || n->x - n->w / 2 > r->x + r->w ||
                               n->y + n->h / 2 < r->y || n->y - n->h / 2 > r->y + r->h;
                assert_true(is_member(&p, q, i) ? inside : outside);
            }
            for (int k = 0; k < i; k++) { /* nodes lie apart */
                assert_true(fabs(p.nodes[k].x - n->x) >= (p.nodes[k].w + n->w) / 2 ||
                            fabs(p.nodes[k].y - n->y) >= (p.nodes[k].h + n->h) / 2);
            }
        }
        cvi_arena_free(p.arena);
    }
}

/* Straight edges pass every foreign circle at a distance; what would not is bent. */
static void straight_edges_are_clear(void **state) {
    (void)state;
    for (int m = 0; m < CVI_COUNT(models); m++) {
        cvi_pgm p;
        laid_out(models[m], &p);
        int bent = 0;
        for (int e = 0; e < p.n_edges; e++) {
            const cvi_pgm_node *a = &p.nodes[p.edges[e].from], *b = &p.nodes[p.edges[e].to];
            bent += p.edges[e].bend != 0;
            for (int i = 0; i < p.n_nodes && p.edges[e].bend == 0; i++) {
                const cvi_pgm_node *n = &p.nodes[i];
                double dx = b->x - a->x, dy = b->y - a->y, length = hypot(dx, dy);
                double along = ((n->x - a->x) * dx + (n->y - a->y) * dy) / length;
                if (n != a && n != b && n->kind != CVI_PGM_FIXED && along > 0 && along < length) {
                    assert_true(fabs((n->x - a->x) * dy - (n->y - a->y) * dx) / length > n->h / 2);
                }
            }
        }
        assert_true(bent > 0 || m != 3); /* a -> c over b cannot be straight */
        cvi_arena_free(p.arena);
    }
}

static void scenes_hold_their_checks(void **state) {
    (void)state;
    for (int m = 0; m < CVI_COUNT(models); m++) {
        for (int theme = 0; theme < 4; theme++) {
            cvs_error err = {0};
            cvs_figure *figure = NULL;
            cvi_buf report = {0};
            const cvs_draw_source source = {.text = models[m], .name = "text"};
            const cvs_draw_options o = {.style = "pgm", .theme = (cvs_theme)theme};
            assert_int_equal(cvs_draw_architecture_figure(&source, 1, &o, &figure, &err), CVS_OK);
            if (cvi_scene_check(figure->scene, &report) != 0) {
                fail_msg("model %d: %s", m, report.data);
            }
            cvs_figure_free(figure);
            cvi_buf_free(&report);
            char *one = NULL, *two = NULL;
            assert_int_equal(cvs_draw_architecture_memory(&source, 1, &o, ".svg", &one, NULL, &err), CVS_OK);
            assert_int_equal(cvs_draw_architecture_memory(&source, 1, &o, ".svg", &two, NULL, &err), CVS_OK);
            assert_string_equal(one, two);
            cvs_free(one);
            cvs_free(two);
        }
    }
    assert_string_equal(cvs_draw_text_style(classic), "pgm");
    assert_null(cvs_draw_text_style("input 3x4x4\nconv 4"));
}

static void mathematics(void **state) {
    (void)state;
    static const struct {
        const char *label;
        bool name;
        const char *runs; /* level text level text */
    } cases[] = {
        {"$\\theta_{k,n}^2$", false, "0θ-1k,n+12"},
        {"theta_k", true, "0θ-1k"},
        {"x_1_b", true, "0x-11-1b"},
        {"a_b", false, "0a_b"},
        {"$n$ = 1", false, "0n = 1"},
        {"cost $5", false, "0cost $5"},
        {"$\\mathbf{x}\\unknown$", false, "0x0unknown"},
        {"$x_$", false, "0x"},
        {"_", true, "0_"},
    };
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        cvi_arena *arena = cvi_arena_new(0);
        cvi_math m;
        char text[200] = "";
        assert_true(cvi_math_parse(arena, cases[i].label, cases[i].name, &m));
        for (int k = 0; k < m.n; k++) {
            size_t at = strlen(text);
            snprintf(text + at, sizeof text - at, m.run[k].level ? "%+d%s" : "%d%s", m.run[k].level,
                     m.run[k].text);
        }
        assert_string_equal(text, cases[i].runs);
        cvi_arena_free(arena);
    }
}

static void mistakes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int line, column;
        const char *words;
    } bad[] = {
        {"node", 1, 5, "name of a node"},
        {"node a\nnode a", 2, 6, "second node"},
        {"node a grey", 1, 8, "none of latent"},
        {"node a at 1,x", 1, 13, "two numbers"},
        {"node a at 1,1\nnode b", 2, 6, "no place"},
        {"node a\nedge a -> a", 2, 11, "to itself"},
        {"node a\nedge a b", 2, 8, "an arrow"},
        {"node a\nedge a -> b", 2, 11, "no node above"},
        {"node a\nplate { a", 2, 10, "closing brace"},
        {"node a\nplate { }", 2, 9, "holds no node"},
        {"node a\nplate { a }\nplate { a }", 3, 9, "another plate"},
        {"node a\nbox b", 2, 1, "node, edge"},
        {"node a \"x", 1, 8, "closing quote"},
        {"direction up", 1, 11, "lr or tb"},
        {"node a | node b ; edge a -> b }", 1, 31, "does not belong"},
        {"# nothing", 0, 0, "no nodes"},
    };
    for (int i = 0; i < CVI_COUNT(bad); i++) {
        cvi_arena *arena = cvi_arena_new(0);
        cvi_pgm p;
        cvs_error err = {0};
        assert_int_not_equal(cvi_pgm_parse(arena, bad[i].text, &p, &err), CVS_OK);
        if (err.line != bad[i].line || err.column != bad[i].column || !strstr(err.message, bad[i].words)) {
            fail_msg("%s: line %d column %d %s", bad[i].text, err.line, err.column, err.message);
        }
        cvi_arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plates_hold_their_members),
        cmocka_unit_test(straight_edges_are_clear),
        cmocka_unit_test(scenes_hold_their_checks),
        cmocka_unit_test(mathematics),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
