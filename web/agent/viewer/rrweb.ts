/**
 * The recorder's numbers, under names. The published package declares them as enums in types only for some of its bundles,
 * so they are written out here; they are part of the stored event format and never change.
 */

export const EventType = { FullSnapshot: 2, IncrementalSnapshot: 3, Meta: 4, Custom: 5 } as const;

export const IncrementalSource = {
  Mutation: 0,
  Scroll: 3,
  ViewportResize: 4,
  Input: 5,
  StyleSheetRule: 8,
  Font: 10,
  StyleDeclaration: 13,
  AdoptedStyleSheet: 15,
} as const;

export const NodeType = { Document: 0, DocumentType: 1, Element: 2, Text: 3, CDATA: 4, Comment: 5 } as const;
