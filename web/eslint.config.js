/** What is held of the sources beyond types: hooks, and which folder may use which. */
import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

/** Forbids imports that match the patterns, with the reason. */
const fence = (files, group, message) => ({
  files,
  rules: { "no-restricted-imports": ["error", { patterns: [{ group, message }] }] },
});

export default tseslint.config(
  { ignores: ["dist", "node_modules", "src/api/schema.d.ts"] },
  js.configs.recommended,
  {
    files: ["src/**/*.{ts,tsx}"],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { "react-hooks": hooks },
    rules: {
      "react-hooks/rules-of-hooks": "error",
      "react-hooks/exhaustive-deps": "error",
      "max-lines": ["error", { max: 400 }],
      "max-lines-per-function": ["error", { max: 140, skipComments: true, skipBlankLines: true }],
      // Text of suppliers never becomes markup.
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "text is shown as text" },
        { selector: "MemberExpression[property.name=/^(innerHTML|outerHTML)$/]", message: "text is shown as text" },
      ],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/no-unnecessary-condition": "error",
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
    },
  },
  { files: ["src/testing/**", "src/**/*.test.{ts,tsx}"], rules: { "max-lines-per-function": "off" } },
  {
    files: ["scripts/**", "e2e/**"],
    languageOptions: {
      globals: {
        process: "readonly",
        console: "readonly",
        URL: "readonly",
        setTimeout: "readonly",
        clearTimeout: "readonly",
        document: "readonly",
        navigator: "readonly",
        innerWidth: "readonly",
        window: "readonly",
        fetch: "readonly",
        performance: "readonly",
        PerformanceObserver: "readonly",
        requestAnimationFrame: "readonly",
      },
    },
  },
  // Arrows between folders: api, lib, components → features → app.
  fence(["src/{api,lib}/**"], ["~/components/**", "~/features/**", "~/app/**"], "the bottom knows no page"),
  fence(["src/components/**"], ["~/features/**", "~/app/**"], "what pages share knows no page"),
  fence(
    ["src/features/**"],
    ["~/app/**", "~/features/**", "../*"],
    "a feature knows neither the frame nor other features",
  ),
);
