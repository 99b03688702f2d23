export interface Interface {
  readonly name: string;
}
